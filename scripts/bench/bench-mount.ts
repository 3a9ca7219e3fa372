import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** A mount for the time of a benchmark, and a FIFO of the kernel beside it. */
export class BenchMount {
  readonly #base: string;
  readonly directory: string;
  readonly pipe: string;
  readonly kernelFifo: string;

  private constructor(base: string) {
    this.#base = base;
    this.directory = join(base, 'mount');
    this.pipe = join(this.directory, 'pipes/bench');
    this.kernelFifo = join(base, 'fifo');
  }

  static async start(): Promise<BenchMount> {
    const mount = new BenchMount(mkdtempSync(join(tmpdir(), 'ipcfs-bench-')));
    await run('mkdir', [mount.directory]);
    await run(process.execPath, [program, 'mount', mount.directory]);
    await run('mkfifo', [mount.pipe, mount.kernelFifo]);
    return mount;
  }

  async stop(): Promise<void> {
    await run(process.execPath, [program, 'umount', this.directory]);
    rmSync(this.kernelFifo);
    rmdirSync(this.directory);
    rmdirSync(this.#base);
  }
}
