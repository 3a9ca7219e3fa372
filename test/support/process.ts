import { type ChildProcess, spawn } from 'node:child_process';

export interface Finished {
  /** Exit status, or null when a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly timeoutMs?: number;
  readonly env?: Record<string, string>;
  /** User and group to run as; the tests run as root. */
  readonly uid?: number;
  readonly gid?: number;
}

const DEFAULT_TIMEOUT_MS = 15_000;
const POLL_INTERVAL_MS = 5;

/** Whatever IPCFS_IO_URING says: a package for libfuse has /dev/fuse to itself. */
function ringOf(command: string, args: readonly string[]): Record<string, string> {
  return [command, ...args].some((word) => word.includes('fuse-native')) ? { IPCFS_IO_URING: 'off' } : {};
}

/** A child in a process group of its own, so that all of it can be ended. Output is kept as it comes. */
export class Running {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #finished: Promise<Finished>;
  readonly #timer: NodeJS.Timeout;
  isFinished = false;

  constructor(command: string, args: readonly string[], options: RunOptions = {}) {
    this.child = spawn(command, args, {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
      // Of a shell in a shell: the outermost would take a socket as its input for a remote login, and read ~/.bashrc.
      env: { ...process.env, ...ringOf(command, args), LC_ALL: 'C', SHLVL: '1', ...options.env },
    });
    this.child.stdout!.on('data', (chunk: Buffer) => (this.stdout += chunk.toString('latin1')));
    this.child.stderr!.on('data', (chunk: Buffer) => (this.stderr += chunk.toString('latin1')));
    // A child that ends before it has read its input is no failure of the test.
    this.child.stdin!.on('error', () => undefined);
    this.#finished = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (status, signal) => {
        this.isFinished = true;
        clearTimeout(this.#timer);
        resolve({ status, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
    this.#timer = setTimeout(() => {
      this.stderr += '\n(ended by the test: it took too long)';
      this.kill('SIGKILL');
    }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Signals the whole group. */
  kill(signal: NodeJS.Signals): void {
    if (this.isFinished || this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  }

  finished(): Promise<Finished> {
    return this.#finished;
  }
}

export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const running = new Running(command, args, options);
  running.child.stdin!.end();
  return running.finished();
}

/** Runs `look` until it gives something other than null or false; fails with what `describe` says after the deadline. */
export async function until<T>(
  look: () => T | Promise<T>,
  describe: () => string | Promise<string> = () => 'the awaited state',
  timeoutMs = 10_000,
): Promise<NonNullable<T>> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== null && seen !== undefined && seen !== false) return seen;
    if (performance.now() > deadlineMs) {
      throw new Error(`not seen within ${timeoutMs} ms: ${await describe()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
}
