import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
export const program = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** Where the peer of a segment lies: a tmpfs. */
const TMPFS = '/dev/shm';

/** A mount for the time of a benchmark, and beside it a FIFO and a file in memory that are the kernel's own. */
export class BenchMount {
  readonly #base: string;
  readonly directory: string;
  readonly pipe: string;
  readonly kernelFifo: string;
  readonly segment: string;
  readonly tmpfsFile: string;

  private constructor(base: string) {
    this.#base = base;
    this.directory = join(base, 'mount');
    this.pipe = join(this.directory, 'pipes/bench');
    this.kernelFifo = join(base, 'fifo');
    this.segment = join(this.directory, 'shm/0xbe7c4');
    this.tmpfsFile = join(TMPFS, basename(base));
  }

  /** `args`: options of `ipcfs mount`. */
  static async start(args: readonly string[] = []): Promise<BenchMount> {
    const mount = new BenchMount(mkdtempSync(join(tmpdir(), 'ipcfs-bench-')));
    await run('mkdir', [mount.directory]);
    await run(process.execPath, [program, 'mount', ...args, mount.directory]);
    await run('mkfifo', [mount.pipe, mount.kernelFifo]);
    return mount;
  }

  /** A path in the mount. */
  path(name: string): string {
    return join(this.directory, name);
  }

  /** A name beside the mount for one more FIFO of the kernel. */
  async anotherFifo(name: string): Promise<string> {
    const path = join(this.#base, name);
    await run('mkfifo', [path]);
    return path;
  }

  /** What a table of info/ holds. */
  async table<Row>(name: string): Promise<Row[]> {
    const options = { maxBuffer: 1024 ** 3 };
    const { stdout } = await run('cat', [this.path(`info/${name}.json`)], options);
    return JSON.parse(stdout) as Row[];
  }

  /** `passthrough` or `cached`. */
  async shmBacking(): Promise<string> {
    const facts = await this.table<{ name: string; value: string }>('transport');
    return facts.find(({ name }) => name === 'shm-backing')!.value;
  }

  /** Whether requests come through an io_uring. */
  async isOnRing(): Promise<boolean> {
    const facts = await this.table<{ name: string; value: string }>('transport');
    return facts.some(({ name, value }) => name === 'device' && value === 'io_uring');
  }

  /** The serving process. */
  async serverPid(): Promise<number> {
    const [row] = await this.table<{ pid: number }>('version');
    return row!.pid;
  }

  async stop(): Promise<void> {
    await run(process.execPath, [program, 'umount', this.directory]);
    rmSync(this.tmpfsFile, { force: true });
    rmdirSync(this.directory);
    rmSync(this.#base, { recursive: true });
  }
}
