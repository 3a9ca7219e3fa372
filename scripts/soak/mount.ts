import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Random } from '../../test/support/random.ts';
import { Child, shell } from './children.ts';
import { kqueueLoads } from './loads/kqueues.ts';
import { pipeLoads } from './loads/pipes.ts';
import type { Load } from './loads/round.ts';
import { segmentLoads } from './loads/segments.ts';
import { treeLoads } from './loads/tree.ts';
import { victimLoads } from './loads/victims.ts';
import { type Growth, growth, leaks, mebibytes, type Sample, sampleOf } from './samples.ts';

const program = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

const SOURCE_BYTES = 8 * 1024 * 1024;
const SAMPLE_EVERY_MS = 5000;
const MS_PER_MINUTE = 60_000;
const READY_TIMEOUT_MS = 20_000;
/** How long the last closes and the kernel's memory of names may take to go. */
const QUIET_TIMEOUT_MS = 30_000;
const LONGEST_REASON = 2000;
/** What shows who is left. */
const TABLES = ['pipes', 'kqueues', 'knotes', 'shm', 'handles', 'waits'].map((name) => `info/${name}`);
const LONGEST_TABLE = 50;
const TUNABLES = ['pipe_direct_max', 'pipe_mindirect', 'shmmni'];

/** Each is a lane of its own: one turn after the other, and all lanes at once. */
const LANES: Readonly<Record<string, readonly Load[]>> = {
  pipes: pipeLoads,
  kqueues: kqueueLoads,
  segments: segmentLoads,
  tree: treeLoads,
  victims: victimLoads,
};

export interface MountSoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Whether the server collects all garbage each time: then its heap is what is alive, and has to be flat too. */
  readonly isCollecting: boolean;
}

/** A mount under load, and what has been seen of it. */
interface Soak {
  readonly directory: string;
  readonly source: string;
  readonly sourceBytes: Uint8Array;
  readonly seed: number;
  readonly isCollecting: boolean;
  readonly server: Child;
  readonly startMs: number;
  readonly samples: Sample[];
  readonly failures: string[];
  readonly turns: Map<string, number>;
  turnCount: number;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function sampleNow({ directory, startMs }: Soak): Promise<Sample> {
  return sampleOf(await shell('cat info/metrics.json', directory), performance.now() - startMs);
}

/** Runs turns of a lane until the time is over. A turn that fails is reported, and the lane goes on. */
async function drive(soak: Soak, lane: string, endMs: number): Promise<void> {
  const random = new Random(soak.seed + Object.keys(LANES).indexOf(lane));
  while (performance.now() < endMs && !soak.server.hasEnded) {
    const number = ++soak.turnCount;
    try {
      await random.pick(LANES[lane]!)({ ...soak, random, number, name: `${lane}${number}` });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      soak.failures.push(`${lane}, turn ${number}: ${reason.slice(0, LONGEST_REASON)}`);
      say(soak.failures.at(-1)!);
    }
    soak.turns.set(lane, soak.turns.get(lane)! + 1);
  }
}

function line({ samples, turns, failures, startMs }: Soak): string {
  const sample = samples.at(-1)!;
  const held = (name: string): number => sample.values.get(`ipcfs_${name}`)!;
  return [
    `${((performance.now() - startMs) / MS_PER_MINUTE).toFixed(1)} min`,
    `rss ${mebibytes(sample.residentBytes)} MiB`,
    `heap ${mebibytes(sample.heapBytes)} MiB`,
    `operations ${sample.operations}`,
    `open files ${held('open_files')}`,
    `nodes ${held('nodes')}`,
    `knotes ${held('knotes')}`,
    `segments ${held('segments')}`,
    `blocked ${held('blocked_calls')}`,
    `turns ${[...turns].map(([lane, count]) => `${lane} ${count}`).join(', ')}`,
    `failures ${failures.length}`,
  ].join(' | ');
}

async function watch(soak: Soak, endMs: number): Promise<void> {
  let reportMs = soak.startMs + MS_PER_MINUTE;
  while (performance.now() < endMs && !soak.server.hasEnded) {
    await pause(Math.min(SAMPLE_EVERY_MS, Math.max(0, endMs - performance.now())));
    soak.samples.push(await sampleNow(soak));
    if (performance.now() < reportMs) continue;
    reportMs += MS_PER_MINUTE;
    say(line(soak));
  }
}

/** Nobody uses the mount any more: what is held goes back to what it was. What is left after a while is a leak. */
async function leftOver(soak: Soak, start: Sample): Promise<string[]> {
  const deadlineMs = performance.now() + QUIET_TIMEOUT_MS;
  for (;;) {
    const left = leaks(start, await sampleNow(soak));
    if (left.length === 0 || performance.now() > deadlineMs) return left;
    await pause(100);
  }
}

/** What the descriptors of a process lead to, sorted. */
function descriptors(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`)
    .map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\d+/, ''))
    .sort();
}

/** The verdict, a line for each thing that is checked. Whether all is well. */
async function judge(soak: Soak, start: Sample, descriptorsAtStart: readonly string[]): Promise<boolean> {
  const { samples, failures, server } = soak;
  const left = await leftOver(soak, start);
  const descriptorsAtEnd = descriptors(server.child.pid!);
  if (descriptorsAtEnd.length > descriptorsAtStart.length)
    left.push(`descriptors ${descriptorsAtStart.join(' ')} -> ${descriptorsAtEnd.join(' ')}`);
  const memory: [string, Growth][] = [['rss', growth(samples, (sample) => sample.residentBytes)]];
  // What V8 has not collected yet says nothing.
  if (soak.isCollecting) memory.push(['heap', growth(samples, (sample) => sample.heapBytes)]);
  for (const [what, { earlierBytes, laterBytes, isFlat }] of memory) {
    const medians = `median ${mebibytes(earlierBytes)} MiB, then ${mebibytes(laterBytes)} MiB`;
    say(`${what} after warm-up: ${medians}: ${isFlat ? 'flat' : 'GROWS'}`);
  }
  const ioErrors = samples.at(-1)!.ioErrors;
  if (left.length > 0) say(await shell(`head -v -n ${LONGEST_TABLE} ${TABLES.join(' ')}`, soak.directory));
  say(`tables at the end: ${left.length === 0 ? 'as at the start' : `LEAK: ${left.join(', ')}`}`);
  say(`data and results: ${failures.length === 0 ? 'right' : `${failures.length} FAILED`}`);
  say(`EIO: ${ioErrors}`);
  say(`the server said: ${server.output === '' ? 'nothing' : server.output}`);
  const isFlat = memory.every(([, grown]) => grown.isFlat);
  return isFlat && left.length === 0 && failures.length === 0 && ioErrors === 0 && server.output === '';
}

async function untilReady(server: Child, directory: string): Promise<void> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    try {
      await shell('cat info/version', directory);
      return;
    } catch {
      if (server.hasEnded || performance.now() > deadlineMs) throw new Error(`no mount: ${server.output}`);
    }
  }
}

async function soakMounted(soak: Soak, minutes: number): Promise<boolean> {
  const { directory, startMs, server } = soak;
  const endMs = startMs + minutes * MS_PER_MINUTE;
  const tunables = (await shell(`cd sysctl/kern/ipc; cat ${TUNABLES.join(' ')}`, directory)).split('\n');
  const start = await sampleNow(soak);
  const descriptorsAtStart = descriptors(server.child.pid!);
  await Promise.all([watch(soak, endMs), ...Object.keys(LANES).map((lane) => drive(soak, lane, endMs))]);
  if (server.hasEnded) throw new Error(`the server has ended: ${server.output}`);
  for (const [index, name] of TUNABLES.entries()) {
    await shell(`echo ${tunables[index]} > sysctl/kern/ipc/${name}`, directory);
  }
  return await judge(soak, start, descriptorsAtStart);
}

/** Everything at once on a mount for so many minutes: a line a minute, and a verdict. Whether nothing was wrong. */
export async function soakMount({ minutes, seed, isCollecting }: MountSoakOptions): Promise<boolean> {
  const base = mkdtempSync(join(tmpdir(), 'ipcfs-soak-'));
  const directory = join(base, 'mount');
  mkdirSync(directory);
  const source = join(base, 'source');
  const sourceBytes = randomFillSync(new Uint8Array(SOURCE_BYTES));
  writeFileSync(source, sourceBytes);
  say(`${minutes} minutes, seed ${seed}, Node ${process.version}`);
  const options = isCollecting ? ['--gc-global'] : [];
  const server = new Child(process.execPath, [...options, program, 'mount', '-f', directory], '/', null);
  // Without its server every lane ends, and nothing stays mounted.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => server.child.kill('SIGTERM'));
  try {
    await untilReady(server, directory);
    const soak: Soak = {
      directory,
      source,
      sourceBytes,
      seed,
      isCollecting,
      server,
      startMs: performance.now(),
      samples: [],
      failures: [],
      turns: new Map(Object.keys(LANES).map((lane) => [lane, 0])),
      turnCount: 0,
    };
    const isFine = await soakMounted(soak, minutes);
    say(isFine ? 'verdict: nothing was wrong' : 'verdict: FAILED');
    return isFine;
  } finally {
    server.child.kill('SIGTERM');
    await server.ended;
    rmdirSync(directory);
    rmSync(base, { recursive: true });
  }
}
