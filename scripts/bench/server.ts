import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { compare, figureAtMost, type Row } from './rows.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

const IDLE_MS = 5000;
/** After traffic the server looks for more for a while: idle begins later. */
const SETTLE_MS = 1000;
const NANOSECONDS_PER_MS = 1e6;
const MEGABYTE = 1e6;

/** Memory of a process that is not swapped or shared away, in bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1];
  return Number(kilobytes) * 1024;
}

/** Processor time that all threads of a process have used, in milliseconds. */
function processorMs(pid: number): number {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0]);
  }
  return nanoseconds / NANOSECONDS_PER_MS;
}

/** What a mount costs that nobody uses, and how soon it can be used. Mounts anew, for a server without a past. */
export async function* idleServer(rounds: number): AsyncIterable<Row> {
  const directory = mkdtempSync(join(tmpdir(), 'ipcfs-bench-'));
  const start: number[] = [];
  const share: number[] = [];
  const resident: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startMs = performance.now();
    await run(process.execPath, [program, 'mount', directory]);
    const { stdout } = await run('cat', [`${directory}/info/version.json`]);
    start.push(performance.now() - startMs);
    const [{ pid }] = JSON.parse(stdout) as [{ pid: number }];
    await delay(SETTLE_MS);
    const usedMs = processorMs(pid);
    await delay(IDLE_MS);
    share.push(((processorMs(pid) - usedMs) / IDLE_MS) * 100);
    resident.push(residentBytes(pid) / MEGABYTE);
    await run(process.execPath, [program, 'umount', directory]);
  }
  rmSync(directory, { recursive: true });
  const figures = [
    { what: 'ipcfs mount, until the first table is read', unit: 'ms', values: start, bound: 500 },
    { what: 'an idle mount, share of a core', unit: '%', values: share, bound: 0.1 },
    { what: 'an idle mount, resident', unit: 'MB', values: resident, bound: 100 },
  ];
  for (const { what, unit, values, bound } of figures) {
    let round = 0;
    yield await compare(
      { what, unit, peerName: '', goal: figureAtMost(bound) },
      rounds,
      () => values[round++]!,
      null,
    );
  }
}
