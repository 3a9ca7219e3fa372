import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { DriverCall, DriverResult } from '../../test/support/driver-protocol.ts';

const driverProgram = fileURLToPath(new URL('../../test/support/driver.js', import.meta.url));

/** Nothing that a load starts waits longer for its end, however busy the machine is. */
const CHILD_TIMEOUT_MS = 60_000;

/** A child in a process group of its own, killed when it takes too long. */
export class Child {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  /** What it has written to standard output and standard error. */
  output = '';
  isLate = false;
  hasEnded = false;

  /** `timeoutMs`: null for one that may run for as long as the soak. */
  constructor(
    command: string,
    args: readonly string[],
    cwd: string,
    timeoutMs: number | null = CHILD_TIMEOUT_MS,
  ) {
    this.child = spawn(command, args, {
      cwd,
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.on('data', (chunk: Buffer) => (this.output += chunk.toString('latin1')));
    }
    // A killed child does not read its input to the end.
    this.child.stdin!.on('error', () => undefined);
    const late =
      timeoutMs === null
        ? undefined
        : setTimeout(() => {
            this.isLate = true;
            this.kill();
          }, timeoutMs);
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', () => {
        this.hasEnded = true;
        clearTimeout(late);
        resolve();
      });
    });
  }

  /** kill -9 of it and all its children. */
  kill(): void {
    if (this.hasEnded || this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}

/**
 * Runs a bash script to its end: what it prints. Throws when it fails, complains, or takes too long. A shell whose input is a socket, as
 * Node's pipes are, takes itself for a remote login and would run ~/.bashrc.
 */
export async function shell(script: string, cwd: string): Promise<string> {
  const running = new Child('bash', ['--norc', '-c', `set -eu -o pipefail\n${script}`], cwd);
  running.child.stdin!.end();
  await running.ended;
  if (running.child.exitCode === 0) return running.output;
  const how = running.isLate
    ? `did not end within ${CHILD_TIMEOUT_MS} ms`
    : `ended with ${running.child.signalCode ?? String(running.child.exitCode)}`;
  throw new Error(`a script ${how}: ${running.output}\n${script}`);
}

/** A process that makes system calls one by one as it is told, for what a shell cannot do. */
export class DriverChild {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  static async start(cwd: string): Promise<DriverChild> {
    const driver = new DriverChild(new Child(process.execPath, [driverProgram], cwd));
    await driver.#line();
    return driver;
  }

  /** Sends a call that may block, without waiting for it. */
  begin(call: DriverCall): void {
    this.#child.child.stdin!.write(`${JSON.stringify(call)}\n`);
  }

  /** What the call returns, which is not negative; throws otherwise. */
  async call(call: DriverCall): Promise<number> {
    this.begin(call);
    const { result } = JSON.parse(await this.#line()) as DriverResult;
    if (result < 0) throw new Error(`${JSON.stringify(call)} returned ${result}`);
    return result;
  }

  async kill(): Promise<void> {
    this.#child.kill();
    await this.#child.ended;
  }

  /** Takes the next line of its output. */
  async #line(): Promise<string> {
    const child = this.#child;
    const { stdout } = child.child;
    for (;;) {
      const end = child.output.indexOf('\n');
      if (end >= 0) {
        const line = child.output.slice(0, end);
        child.output = child.output.slice(end + 1);
        return line;
      }
      const more = new Promise<boolean>((resolve) =>
        stdout!.once('data', () => {
          resolve(true);
        }),
      );
      if (!(await Promise.race([more, child.ended.then(() => false)]))) {
        throw new Error(`a driver ended: ${child.output}`);
      }
    }
  }
}
