import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** C is not compiled into dist: it is read where it lies. */
const SOURCE = fileURLToPath(new URL('../../../../scripts/bench/peers/null-libfuse3.c', import.meta.url));
const FUSE_NATIVE_SERVER = fileURLToPath(new URL('./null-fuse-native.js', import.meta.url));

/** A file system that does nothing, mounted for the time of a benchmark: what carrying requests costs by itself. */
export class NullPeer {
  readonly #base: string;
  readonly #server: ChildProcess;
  /** Its one file: reads give zeros, writes are taken and forgotten. */
  readonly file: string;

  private constructor(base: string, server: ChildProcess) {
    this.#base = base;
    this.#server = server;
    this.file = join(base, 'mount/null');
  }

  /** Over C's libfuse3 with several threads; or why it cannot be had here. */
  static async overLibfuse3(): Promise<NullPeer | string> {
    let flags: string[];
    try {
      const { stdout } = await run('pkg-config', ['--cflags', '--libs', 'fuse3']);
      flags = stdout.trim().split(/\s+/);
    } catch {
      return 'needs gcc, pkg-config and libfuse3-dev';
    }
    const base = mkdtempSync(join(tmpdir(), 'ipcfs-peer-'));
    const program = join(base, 'null');
    try {
      await run('gcc', ['-O2', '-o', program, SOURCE, ...flags]);
    } catch {
      rmSync(base, { recursive: true });
      return 'needs gcc';
    }
    return NullPeer.#start(base, program, []);
  }

  /** Over the package fuse-native; or why it cannot be had here. */
  static async overFuseNative(): Promise<NullPeer | string> {
    let module: string;
    try {
      module = createRequire(import.meta.url).resolve('fuse-native');
    } catch {
      return 'needs the package fuse-native';
    }
    const base = mkdtempSync(join(tmpdir(), 'ipcfs-peer-'));
    return NullPeer.#start(base, process.execPath, [FUSE_NATIVE_SERVER, module]);
  }

  static async #start(base: string, program: string, args: readonly string[]): Promise<NullPeer | string> {
    const directory = join(base, 'mount');
    await run('mkdir', [directory]);
    const server = spawn(program, [...args, directory], { stdio: ['ignore', 'pipe', 'pipe'] });
    let complaint = '';
    server.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    const ready = await Promise.race([
      once(server.stdout, 'data').then(() => true),
      once(server, 'close').then(() => false),
    ]);
    if (ready) return new NullPeer(base, server);
    rmSync(base, { recursive: true });
    return `does not start: ${complaint.trim().split('\n')[0] ?? ''}`;
  }

  async stop(): Promise<void> {
    const ended = once(this.#server, 'close');
    this.#server.kill('SIGTERM');
    await ended;
    if (!existsSync(this.file)) rmSync(this.#base, { recursive: true });
  }
}
