import { existsSync, readFileSync } from 'node:fs';

/** A file of this package, found from its sources as from what is made of them. */
export function packageFile(name: string): URL {
  let folder = new URL('.', import.meta.url);
  while (!existsSync(new URL('package.json', folder))) folder = new URL('..', folder);
  return new URL(name, folder);
}

/** The version of this package. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string }).version;
}
