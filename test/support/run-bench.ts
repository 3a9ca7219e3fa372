import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { mainProgram } from './mount.ts';
import { type Finished, Running, type RunOptions, until } from './process.ts';

/** A place for runs of `ipcfs run`, with a blank in its path, that knows what they leave behind. */
export class RunBench {
  /** Everybody may enter. */
  readonly directory: string;
  readonly #temporary: string;

  constructor() {
    this.directory = join(mkdtempSync(join(tmpdir(), 'ipcfs-bench-')), 'with blank');
    this.#temporary = join(this.directory, 'temporary files');
    mkdirSync(this.#temporary, { recursive: true });
    chmodSync(join(this.directory, '..'), 0o755);
    chmodSync(this.#temporary, 0o1777);
  }

  /** What makes runs mount here. */
  get env(): Record<string, string> {
    return { TMPDIR: this.#temporary, SHELL: '/bin/bash' };
  }

  start(args: readonly string[], options: RunOptions = {}): Running {
    return new Running(process.execPath, [mainProgram, 'run', ...args], {
      cwd: this.directory,
      timeoutMs: 60_000,
      ...options,
      env: { ...this.env, ...options.env },
    });
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    const running = this.start(args, options);
    running.child.stdin!.end();
    return running.finished();
  }

  /** Runs a script of bash in the mount. */
  script(text: string, args: readonly string[] = []): Promise<Finished> {
    return this.run([...args, '--', 'bash', '-c', `cd "$IPCFS"; ${text}`]);
  }

  /** The path of an executable file here with this text. */
  program(name: string, text: string, mode = 0o755): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  }

  read(name: string): string {
    return readFileSync(join(this.directory, name), 'latin1');
  }

  /** The processes that runs have started and that have not ended. */
  processes(): number[] {
    return readdirSync('/proc').flatMap((name) => {
      if (!/^\d+$/.test(name)) return [];
      try {
        const isOurs = readFileSync(`/proc/${name}/environ`, 'latin1').includes(this.#temporary);
        return isOurs ? [Number(name)] : [];
      } catch {
        return [];
      }
    });
  }

  /** The mounts of runs, as this process sees them. */
  mounts(): string[] {
    const inTable = this.#temporary.replaceAll(' ', String.raw`\040`);
    return readFileSync('/proc/mounts', 'latin1')
      .split('\n')
      .filter((line) => line.includes(inTable));
  }

  /** Nothing runs, nothing is mounted, no directory is left. */
  expectNothingLeft(): void {
    expect([this.processes(), this.mounts(), readdirSync(this.#temporary)]).toEqual([[], [], []]);
  }

  untilNothingLeft(): Promise<true> {
    return until(
      () =>
        this.processes().length + this.mounts().length + readdirSync(this.#temporary).length === 0
          ? true
          : null,
      () => `nothing to be left: ${JSON.stringify([this.processes(), this.mounts()])}`,
    );
  }

  /** The mount of the one run that goes on. */
  mountPoint(): Promise<string> {
    return until(() => {
      const line = this.mounts()[0];
      return line === undefined ? null : directoryOf(line);
    });
  }

  clean(): void {
    for (const pid of this.processes()) process.kill(pid, 'SIGKILL');
    for (const line of this.mounts()) spawnSync('umount', ['-l', directoryOf(line)]);
    rmSync(join(this.directory, '..'), { recursive: true, force: true });
  }
}

/** Of a line of /proc/mounts. */
function directoryOf(line: string): string {
  return line.split(' ')[1]!.replaceAll(String.raw`\040`, ' ');
}
