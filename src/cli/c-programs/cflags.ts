import { fileURLToPath } from 'node:url';
import { packageFile } from '../../host/package.ts';
import { CommandFailure } from '../failures.ts';

/** The C sources of this package: headers, and the library that `run --preload` makes of them. */
export function cSource(name: string): string {
  return fileURLToPath(packageFile(`src/c/${name}`));
}

/** What the C compiler needs to find our headers before the system's. */
export function cflags({ pipes }: { pipes: boolean }): string[] {
  const folders = [...(pipes ? ['include-pipes'] : []), 'include'].map(cSource);
  // A shell splits what it takes from a command at blanks, and has no way to quote them there.
  const odd = folders.find((folder) => /[\s'"\\$*?[\]]/.test(folder));
  if (odd !== undefined) {
    throw new CommandFailure(
      `a shell would take ${odd} for several words: install ipcfs in a path without blanks`,
    );
  }
  // With -std=c99 and the like glibc hides what BSD's headers show. Programs that define it do so without a value.
  return ['-D_DEFAULT_SOURCE=', ...folders.map((folder) => `-I${folder}`), '-pthread'];
}
