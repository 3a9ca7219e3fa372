import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { packageFile } from '../../src/host/package.ts';
import type { BenchMount } from './bench-mount.ts';
import { NatsPeer } from './peers/nats.ts';
import { compare, type Row } from './rows.ts';

const RECORDS = 20_000;
/** With its newline. */
const RECORD_BYTES = 100;
const LOOK_MS = 5;
const MS_PER_SECOND = 1000;
const MAIN = fileURLToPath(packageFile('dist/src/cli/main.js'));

/** One bridge with a pipe and a stream that nobody else uses. */
class Route {
  readonly #mount: BenchMount;
  readonly #peer: NatsPeer;
  readonly #name: string;
  readonly pipe: string;
  readonly #bridge: ChildProcess;

  private constructor(mount: BenchMount, peer: NatsPeer, name: string, direction: string) {
    this.#mount = mount;
    this.#peer = peer;
    this.#name = name;
    this.pipe = mount.path(`pipes/${name}`);
    const args = [MAIN, 'bridge', this.pipe, peer.url(name), '--role', 'work', direction];
    this.#bridge = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  }

  static start(mount: BenchMount, peer: NatsPeer, name: string, direction: '--in' | '--out'): Route {
    writeFileSync(mount.path(`pipes/${name}`), '', { flag: 'a' });
    writeFileSync(mount.path('ctl'), `set pipes/${name} hold lines capacity=16M\n`);
    return new Route(mount, peer, name, direction);
  }

  /** Waits until a column of the pipe's row in info/pipes is not 0. */
  async until(column: 'blocked-readers' | 'cnt'): Promise<void> {
    interface PipeRow extends Record<typeof column, number> {
      readonly path: string;
    }
    for (;;) {
      const rows = await this.#mount.table<PipeRow>('pipes');
      if (rows.some((row) => row.path === `pipes/${this.#name}` && row[column] > 0)) return;
      await delay(LOOK_MS);
    }
  }

  async end(): Promise<void> {
    const end = once(this.#bridge, 'close');
    this.#bridge.kill('SIGKILL');
    await end;
    rmSync(this.pipe);
    await this.#peer.manager.streams.delete(this.#name);
  }
}

/** Records a second of work that has begun at `startMs`. */
function rateSince(startMs: number): number {
  return (RECORDS * MS_PER_SECOND) / (performance.now() - startMs);
}

/** Lines that lie in a pipe become messages in a stream. */
async function outRate(mount: BenchMount, peer: NatsPeer, name: string): Promise<number> {
  const route = Route.start(mount, peer, name, '--out');
  try {
    await route.until('blocked-readers');
    const startMs = performance.now();
    writeFileSync(route.pipe, `${'x'.repeat(RECORD_BYTES - 1)}\n`.repeat(RECORDS));
    while ((await peer.manager.streams.info(name)).state.last_seq < RECORDS) await delay(LOOK_MS);
    return rateSince(startMs);
  } finally {
    await route.end();
  }
}

async function publishRate(peer: NatsPeer, name: string): Promise<number> {
  await peer.addStream(name);
  const startMs = performance.now();
  await peer.publish(name, Buffer.alloc(RECORD_BYTES - 1, 'x'), RECORDS);
  const rate = rateSince(startMs);
  await peer.manager.streams.delete(name);
  return rate;
}

/** Messages of a stream become lines in a pipe, and are acknowledged when somebody has read them. */
async function inRate(mount: BenchMount, peer: NatsPeer, name: string): Promise<number> {
  await peer.addStream(name);
  await peer.publish(name, Buffer.alloc(RECORD_BYTES - 1, 'x'), RECORDS);
  const route = Route.start(mount, peer, name, '--in');
  try {
    await route.until('cnt');
    const startMs = performance.now();
    const reader = spawn('head', ['-n', String(RECORDS), route.pipe], { stdio: 'ignore' });
    await once(reader, 'close');
    return rateSince(startMs);
  } finally {
    await route.end();
  }
}

async function consumeRate(peer: NatsPeer, name: string): Promise<number> {
  await peer.addStream(name);
  await peer.publish(name, Buffer.alloc(RECORD_BYTES - 1, 'x'), RECORDS);
  const startMs = performance.now();
  await peer.consume(name, RECORDS);
  const rate = rateSince(startMs);
  await peer.manager.streams.delete(name);
  return rate;
}

/** Records a second through a bridge against the bare client of NATS, in both directions. */
export async function* bridgeThroughput(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  const peer = await NatsPeer.start();
  // Without a server there is nothing to measure.
  if (typeof peer === 'string') return;
  let number = 0;
  const name = (): string => `bench${++number}`;
  const comparison = (what: string): { what: string; unit: string; peerName: string } => ({
    what: `${what}, lines of ${RECORD_BYTES} bytes`,
    unit: 'records/s',
    peerName: "NATS's client alone",
  });
  try {
    yield await compare(
      comparison('ipcfs bridge --out'),
      rounds,
      () => outRate(mount, peer, name()),
      () => publishRate(peer, name()),
    );
    yield await compare(
      comparison('ipcfs bridge --in'),
      rounds,
      () => inRate(mount, peer, name()),
      () => consumeRate(peer, name()),
    );
  } finally {
    await peer.stop();
  }
}
