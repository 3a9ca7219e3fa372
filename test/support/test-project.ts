import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as Testing from '../../src/testing/index.ts';
import { MountNamespace } from './namespace.ts';
import { type Finished, run, Running, type RunOptions, until } from './process.ts';
import { alice } from './users.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** As it was built: it starts the built program. */
export const testing = (await import(
  new URL('../../dist/src/testing/index.js', import.meta.url).href
)) as typeof Testing;

/** A project of a user who has installed the package, in a directory of its own. */
export class TestProject {
  readonly directory = mkdtempSync(join(tmpdir(), 'ipcfs-project-'));
  readonly #temporary = join(this.directory, 'temporary');
  #namespace: MountNamespace | null = null;
  #scripts = 0;

  constructor() {
    const packages = join(this.directory, 'node_modules');
    mkdirSync(packages);
    for (const name of readdirSync(join(root, 'node_modules')))
      symlinkSync(join(root, 'node_modules', name), join(packages, name));
    // Not a link: test runners treat what lies outside of node_modules as part of the project.
    mkdirSync(join(packages, 'ipcfs'));
    for (const name of ['package.json', 'dist/src', 'dist/man'])
      cpSync(join(root, name), join(packages, 'ipcfs', name), { recursive: true });
    mkdirSync(this.#temporary);
    chmodSync(this.directory, 0o755);
    chmodSync(this.#temporary, 0o1777);
    this.write('package.json', '{ "private": true, "type": "module" }\n');
  }

  /** The path of a file with this text. */
  write(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    return path;
  }

  /** Starts a module in the project. */
  start(text: string): Running {
    return new Running(process.execPath, [this.#script(text)], this.options);
  }

  node(text: string): Promise<Finished> {
    return run(process.execPath, [this.#script(text)], this.options);
  }

  get options(): RunOptions {
    return { cwd: this.directory, env: { TMPDIR: this.#temporary, NO_COLOR: '1' }, timeoutMs: 60_000 };
  }

  /** Lets a user open the device, for `nodeAsUser`. */
  async openToUsers(): Promise<void> {
    const device = join(this.directory, 'device');
    mkdirSync(device);
    this.#namespace = await MountNamespace.startWithDevice(device);
  }

  /** In place of npx: a program of the project. */
  get npx(): string {
    return `#!/bin/bash
program=$1; shift
if [ "$program" = ipcfs ]; then exec '${process.execPath}' '${this.directory}/node_modules/ipcfs/dist/src/cli/main.js' "$@"; fi
exec '${this.directory}/node_modules/.bin/'"$program" "$@"
`;
  }

  /** Runs a program as alice. */
  runAsUser(program: string, args: readonly string[], options = this.options): Promise<Finished> {
    return this.#namespace!.run(program, args, alice, options);
  }

  /** Runs a module as alice; `wrapper`: what comes before it. */
  nodeAsUser(text: string, wrapper: readonly string[]): Promise<Finished> {
    const [program, ...args] = [...wrapper, process.execPath, this.#script(text)] as unknown as [
      string,
      ...string[],
    ];
    return this.runAsUser(program, args);
  }

  /** A directory without programs. */
  emptyPath(): string {
    return this.#temporary;
  }

  untilNothingLeft(): Promise<true> {
    return until(
      () => (readdirSync(this.#temporary).length === 0 ? true : null),
      () => readdirSync(this.#temporary).join(),
    );
  }

  clean(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  async end(): Promise<void> {
    await this.#namespace?.end();
    this.clean();
  }

  #script(text: string): string {
    return this.write(`script-${++this.#scripts}.js`, text);
  }
}
