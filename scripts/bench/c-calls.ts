import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { packageFile } from '../../src/host/package.ts';
import type { BenchMount } from './bench-mount.ts';
import { compare, type Row } from './rows.ts';

const execute = promisify(execFile);

const SOURCE = fileURLToPath(packageFile('scripts/bench/programs/c-calls.c'));
const MAIN = fileURLToPath(packageFile('dist/src/cli/main.js'));

const MEASURED = [
  { what: 'kevent that finds nothing', name: 'empty', count: 20_000, peerName: 'epoll_wait' },
  {
    what: 'kevent that triggers a user event and collects it',
    name: 'trigger',
    count: 20_000,
    peerName: 'eventfd, epoll',
  },
  { what: 'kevent that finds 1 ready socket', name: 'ready-1', count: 5000, peerName: 'epoll_wait' },
  { what: 'kevent that finds 100 ready sockets', name: 'ready-100', count: 300, peerName: 'epoll_wait' },
  {
    what: 'one byte there and back through pipe(2), each awaited',
    name: 'ping-pong',
    count: 3000,
    peerName: 'kernel pipes, epoll',
  },
  { what: 'shmat and shmdt', name: 'attach', count: 2000, peerName: "the kernel's" },
  { what: 'shmctl IPC_STAT', name: 'stat', count: 2000, peerName: "the kernel's" },
] as const;

/** Calls of C programs through the headers, against epoll and the kernel's own segments. */
export async function* callsOfC(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'ipcfs-bench-c-'));
  try {
    const programs = { ours: join(folder, 'ours'), theirs: join(folder, 'theirs') };
    const { stdout } = await execute(process.execPath, [MAIN, 'cflags', '--pipes']);
    try {
      await execute('cc', ['-O2', ...stdout.trim().split(' '), '-o', programs.ours, SOURCE]);
      await execute('cc', ['-O2', '-DKERNEL', '-o', programs.theirs, SOURCE]);
    } catch {
      // Without a compiler there is nothing to measure.
      return;
    }
    const env = { ...process.env, IPCFS: mount.directory };
    const timed = async (program: string, name: string, count: number): Promise<number> =>
      Number((await execute(program, [name, String(count)], { env })).stdout);
    for (const { what, name, count, peerName } of MEASURED) {
      yield await compare(
        { what, unit: 'us', peerName },
        rounds,
        () => timed(programs.ours, name, count),
        () => timed(programs.theirs, name, count),
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
