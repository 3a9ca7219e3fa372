import { accessSync, mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';
import { Driver } from './driver-client.ts';
import { type Finished, run, Running, type RunOptions, until } from './process.ts';

export const mainProgram = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

const READY_TIMEOUT_MS = 15_000;

function missing(): string | null {
  try {
    accessSync('/dev/fuse');
  } catch {
    return 'there is no /dev/fuse';
  }
  return process.getuid!() === 0 ? null : 'mount tests need root';
}

/** A group of tests on real mounts. Where none can be made it is skipped with the reason, but with CI set it fails. */
export function describeMount(name: string, body: () => void): void {
  const reason = missing();
  if (reason === null || process.env['CI'] !== undefined) describe(name, body);
  else describe.skip(`${name} (${reason})`, body);
}

/** Whether the suite runs with requests that come through an io_uring. */
export const isOnRing = process.env['IPCFS_IO_URING'] === 'on';

/**
 * For `skipIf`, of tests that kill a caller of a server that is stopped. Linux gives a call to an entry of the ring at once, and a call
 * that the server has cannot be taken back (R4).
 */
export const cannotKillCallersOfStoppedServers = isOnRing;

export type Row = Readonly<Record<string, string | number>>;

/** A mount of its own for a test file, served by a child process. */
export class TestMount {
  readonly directory: string;
  readonly server: Running;
  readonly #drivers: Driver[] = [];
  readonly #started: Running[] = [];

  private constructor(directory: string, server: Running) {
    this.directory = directory;
    this.server = server;
  }

  /** Mounts with `ipcfs mount -f`. `args`: options of the command; `wrapper`: a command that starts it with fewer rights; `directory`: a new one to mount on. */
  static async start(
    args: readonly string[] = [],
    { wrapper = [], directory }: { wrapper?: readonly string[]; directory?: string } = {},
  ): Promise<TestMount> {
    const reason = missing();
    if (reason !== null) throw new Error(reason);
    if (directory === undefined) directory = mkdtempSync(join(tmpdir(), 'ipcfs-test-'));
    else mkdirSync(directory);
    const [command, ...rest] = [...wrapper, process.execPath, mainProgram, 'mount', '-f', ...args, directory];
    const server = new Running(command, rest, { timeoutMs: 600_000 });
    const mount = new TestMount(directory, server);
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      const probe = await run('cat', [join(directory, 'info/version')], { timeoutMs: READY_TIMEOUT_MS });
      if (probe.status === 0) return mount;
      if (server.isFinished || performance.now() > deadlineMs) {
        server.kill('SIGKILL');
        throw new Error(`the mount did not come up: ${server.stderr}`);
      }
    }
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Runs a shell script in the mount's root to its end. */
  sh(script: string, options: RunOptions = {}): Promise<Finished> {
    return run('bash', ['-c', script], { cwd: this.directory, ...options });
  }

  /** What a script that must succeed prints. */
  async output(script: string, options: RunOptions = {}): Promise<string> {
    const { status, signal, stdout, stderr } = await this.sh(script, options);
    if (status !== 0) {
      throw new Error(`'${script}' ended with ${signal ?? String(status)}: ${stdout}${stderr}`);
    }
    return stdout;
  }

  /** Starts a script in the background; it is ended with the mount at the latest. */
  start(script: string, options: RunOptions = {}): Running {
    const running = new Running('bash', ['-c', script], { cwd: this.directory, ...options });
    this.#started.push(running);
    return running;
  }

  /** A process that makes system calls one by one as the test says. */
  async driver(options: RunOptions = {}): Promise<Driver> {
    const driver = await Driver.start({ cwd: this.directory, ...options });
    this.#drivers.push(driver);
    return driver;
  }

  /** Ends all drivers that there are, and with them what they have open. */
  async endDrivers(): Promise<void> {
    const drivers = this.#drivers.splice(0);
    for (const driver of drivers) driver.kill();
    await Promise.all(drivers.map((driver) => driver.finished()));
  }

  /** Makes a named pipe; its path. */
  async fifo(name: string): Promise<string> {
    await this.output(`mkfifo pipes/${name}`);
    return `pipes/${name}`;
  }

  /** The rows of info/NAME; of `waits` those of blocked calls. */
  async table(name: string): Promise<Row[]> {
    const rows = JSON.parse(await this.output(`cat info/${name}.json`)) as Row[];
    return name === 'waits' ? rows.filter((row) => row['inferred'] === '-') : rows;
  }

  /** The rows of info/waits that /proc tells of. */
  async inferredWaits(): Promise<Row[]> {
    const rows = JSON.parse(await this.output('cat info/waits.json')) as Row[];
    return rows.filter((row) => row['inferred'] !== '-');
  }

  /** The row of info/pipes for `path`. */
  async pipe(path: string): Promise<Row> {
    const row = (await this.table('pipes')).find((candidate) => candidate['path'] === path);
    if (row === undefined) throw new Error(`info/pipes has no ${path}`);
    return row;
  }

  async sysctl(name: string): Promise<number> {
    return Number(await this.output(`cat sysctl/${name.replaceAll('.', '/')}`));
  }

  async setSysctl(name: string, value: number): Promise<void> {
    await this.output(`echo ${value} > sysctl/${name.replaceAll('.', '/')}`);
  }

  /** How many calls wait on `object` for `wait` at this moment. */
  async blockedCount(object: string, wait: string): Promise<number> {
    const waits = await this.table('waits');
    return waits.filter((row) => row['object'] === object && row['wait'] === wait).length;
  }

  /** Waits for `count` blocked calls on `object` that wait for `wait` (`piperd`). */
  async untilBlocked(object: string, wait: string, count = 1): Promise<void> {
    let seen: Row[] = [];
    await until(
      async () => {
        seen = await this.table('waits');
        return seen.filter((row) => row['object'] === object && row['wait'] === wait).length === count;
      },
      () => `${count} calls blocked on ${object} in ${wait}; info/waits: ${JSON.stringify(seen)}`,
    );
  }

  /** Ends everything: processes of the test, the server, the mount point. Fails when the server does not end by itself. */
  async stop(): Promise<void> {
    for (const driver of this.#drivers) driver.kill();
    for (const running of this.#started) running.kill('SIGKILL');
    this.server.child.kill('SIGTERM');
    const late = setTimeout(() => {
      this.server.kill('SIGKILL');
    }, READY_TIMEOUT_MS);
    const { status, signal, stderr } = await this.server.finished();
    clearTimeout(late);
    if (status !== 0) {
      await run('umount', ['-l', this.directory]);
      throw new Error(`the server ended with ${signal ?? String(status)}: ${stderr}`);
    }
    rmdirSync(this.directory);
  }
}
