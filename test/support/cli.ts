import { chownSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mainProgram } from './mount.ts';
import { type Finished, run, Running, type RunOptions, until } from './process.ts';

/** Runs `ipcfs` to its end. */
export function ipcfs(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return run(process.execPath, [mainProgram, ...args], options);
}

/** The command line of `ipcfs` for a shell, quoted. */
export const ipcfsCommand = `'${process.execPath}' '${mainProgram}'`;

/** Whether something is mounted on `directory`. Asks the kernel's table, and not the mount. */
export function isMounted(directory: string): boolean {
  return readFileSync('/proc/mounts', 'latin1').includes(` ${directory} `);
}

/** Whether the process is there, zombies excluded. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

/** The processor time that a process has used, in ticks of a hundredth of a second. */
export function cpuTicks(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** Directories to mount on, and the servers behind them. `clean` leaves nothing of them. */
export class Scratch {
  readonly #directories: string[] = [];
  readonly #pids: number[] = [];
  readonly #started: Running[] = [];

  /** A new directory, owned by `uid`. */
  directory(uid = 0): string {
    const directory = mkdtempSync(join(tmpdir(), 'ipcfs-test-'));
    chownSync(directory, uid, uid);
    this.#directories.push(directory);
    return directory;
  }

  /** Starts a process that `clean` ends. */
  start(command: string, args: readonly string[], options: RunOptions = {}): Running {
    const running = new Running(command, args, options);
    this.#started.push(running);
    return running;
  }

  /** `ipcfs mount` in the background; the pid of the server, once it answers. */
  async mount(directory: string, args: readonly string[] = [], options: RunOptions = {}): Promise<number> {
    const { status, stderr } = await ipcfs(['mount', ...args, directory], options);
    if (status !== 0) throw new Error(`ipcfs mount: ${stderr}`);
    const { stdout } = await run('cat', [join(directory, 'info/version.json')], options);
    const [row] = JSON.parse(stdout) as [{ pid: number }];
    this.#pids.push(row.pid);
    return row.pid;
  }

  /** `ipcfs mount -f`, once it answers. */
  async mountInForeground(directory: string, args: readonly string[] = []): Promise<Running> {
    const server = this.start(process.execPath, [mainProgram, 'mount', '-f', ...args, directory], {
      timeoutMs: 120_000,
    });
    await until(
      async () => (await run('cat', [join(directory, 'info/version')])).status === 0,
      () => `a mount on ${directory}: ${server.stderr}`,
    );
    return server;
  }

  async clean(): Promise<void> {
    for (const running of this.#started.splice(0)) running.kill('SIGKILL');
    for (const pid of this.#pids.splice(0)) {
      // The number may be somebody else's by now.
      if (isRunning(pid) && this.#isOurs(pid)) process.kill(pid, 'SIGKILL');
    }
    for (const directory of this.#directories.splice(0)) {
      while (isMounted(directory)) await run('umount', ['-l', directory]);
      rmSync(directory, { recursive: true, force: true });
    }
  }

  #isOurs(pid: number): boolean {
    try {
      return (
        readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('ipcfs') &&
        readlinkSync(`/proc/${pid}/exe`) === process.execPath
      );
    } catch {
      return false;
    }
  }
}
