import { beforeEach, describe, expect, test } from 'vitest';
import { ENODEV } from '../../src/kern/errno.ts';
import { SLICE_MS } from '../../src/kern/work.ts';
import type { ServedDevice } from '../../src/transports/raw/device/device.ts';
import type { ReceiveBuffer } from '../../src/transports/raw/protocol/request.ts';
import { runLoop } from '../../src/transports/raw/loop.ts';
import { NOTIFY_POLL, Opcode, POLL_SCHEDULE_NOTIFY } from '../../src/transports/raw/protocol/constants.ts';
import { pattern, user } from '../support/engine.ts';
import {
  LINUX_O_NONBLOCK,
  LINUX_O_RDWR,
  LINUX_O_WRONLY,
  makePipe,
  openBody,
  openHandle,
  readBody,
  releaseBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { Body, FuseClient, nodeidOf, textOf } from '../support/fuse-client.ts';

/** How far the clock moves whenever somebody looks at it. */
const LOOK_MS = SLICE_MS / 10;
/** Operations between two looks, as the scheduler has it, and so the most that one slice runs. */
const OPERATIONS_PER_LOOK = 16;
const MOST_PER_SLICE = 12 * OPERATIONS_PER_LOOK;

const POLLIN_POLLOUT = 0x5;

let client: FuseClient;
beforeEach(() => {
  client = new FuseClient();
  const { clock } = client.host;
  clock.monotonicMs = () => (clock.nowMs += LOOK_MS);
});

/** A turn of the loop without a request. */
function turn(): void {
  client.fileSystem.kernel.callouts.runExpired(SLICE_MS);
  client.session.settleBacklog();
}

function openWriter(nodeid: number): number {
  return openHandle(client, nodeid, LINUX_O_WRONLY | LINUX_O_NONBLOCK);
}

/** Readers that wait for a pipe. */
function blockedReaders(nodeid: number, count: number): number[] {
  const handle = openHandle(client, nodeid, LINUX_O_RDWR);
  return Array.from({ length: count }, () => client.send(Opcode.READ, 0, readBody(handle, 16, LINUX_O_RDWR)));
}

/** Opens a file `count` times and polls each. */
function pollers(nodeid: number, count: number): void {
  for (let index = 0; index < count; index++) poll(openHandle(client, nodeid, LINUX_O_RDWR), index);
}

function poll(handle: number, kh: number): void {
  const body = new Body().u64(handle).u64(kh).u32(POLL_SCHEDULE_NOTIFY).u32(POLLIN_POLLOUT);
  expect(client.error(Opcode.POLL, 0, body)).toBe(0);
}

describe('[SEC-15] waking many', () => {
  const READERS = 3000;

  test('those whom one call wakes run in slices; another call and whom it wakes do not wait for them', () => {
    const crowded = makePipe(client, 'crowded');
    const waiting = blockedReaders(crowded, READERS);
    const mine = makePipe(client, 'mine');
    const [reader] = blockedReaders(mine, 1);
    const writer = openWriter(mine);

    client.host.clock.nowMs += 1;
    const before = client.device.sent.length;
    // Enough for each of them.
    const crowd = openWriter(crowded);
    client.send(Opcode.WRITE, 0, writeBody(crowd, pattern(READERS), LINUX_O_WRONLY));
    expect(client.fileSystem.kernel.scheduler.backlogCount).toBeGreaterThan(READERS / 2);
    expect(client.device.sent.length - before).toBeLessThanOrEqual(MOST_PER_SLICE + 2);

    client.request(Opcode.WRITE, 0, writeBody(writer, pattern(1), LINUX_O_WRONLY));
    expect(client.answers(reader!).length).toBe(1);

    let most = 0;
    for (let turns = 0; client.session.hasBacklog; turns++) {
      const answered = client.device.sent.length;
      turn();
      most = Math.max(most, client.device.sent.length - answered);
      expect(turns).toBeLessThan(READERS);
    }
    expect(most).toBeLessThanOrEqual(2 * MOST_PER_SLICE);
    expect(most).toBeGreaterThan(OPERATIONS_PER_LOOK);
    const answered = waiting.filter((unique) => client.answers(unique).length === 1).length;
    // 16 bytes each, in order of arrival; the others sleep again.
    expect(answered).toBe(Math.ceil(READERS / 16));
  });

  test('the end of the mount answers all of them, those that have been set back too', () => {
    const crowded = makePipe(client, 'crowded');
    const waiting = blockedReaders(crowded, READERS);
    client.send(Opcode.WRITE, 0, writeBody(openWriter(crowded), pattern(1), LINUX_O_WRONLY));
    expect(client.fileSystem.kernel.scheduler.backlogCount).toBeGreaterThan(0);
    client.session.interruptAll();
    expect(waiting.every((unique) => client.answers(unique).length === 1)).toBe(true);
  });
});

describe('[SEC-15] notifying many pollers', () => {
  const POLLERS = 1000;

  /** Positions of an answer, and of the last notice, in the order in which they were sent. */
  function positions(unique: number): { answer: number; lastNotice: number } {
    const { sent } = client.device;
    return {
      answer: sent.findIndex((message) => message.unique === unique),
      lastNotice: sent.findLastIndex((message) => message.unique === 0 && message.error === NOTIFY_POLL),
    };
  }

  function finish(unique: number): number {
    let turns = 0;
    for (; client.answers(unique).length === 0; turns++) {
      const notified = client.notifiedPolls.length;
      turn();
      expect(client.notifiedPolls.length - notified).toBeLessThanOrEqual(MOST_PER_SLICE);
    }
    return turns;
  }

  test('a write is answered when all have been notified, in slices, and others are served in between', () => {
    const node = makePipe(client, 'polled');
    pollers(node, POLLERS);
    const handle = openWriter(node);
    client.send(Opcode.WRITE, 0, writeBody(handle, pattern(10), LINUX_O_WRONLY));
    // Writable as well, all of them were polled for both: one write wakes them once.
    const unique = client.send(Opcode.WRITE, 0, writeBody(handle, pattern(10), LINUX_O_WRONLY));
    while (client.notifiedPolls.length < POLLERS) turn();
    expect(new Set(client.notifiedPolls).size).toBe(POLLERS);
    finish(unique);
  });

  test('the answer comes after the last notice, whole, whatever others do meanwhile', () => {
    const node = makePipe(client, 'polled');
    pollers(node, POLLERS);
    const other = makePipe(client, 'other');
    const handle = openHandle(client, node, LINUX_O_RDWR);
    const unique = client.send(Opcode.WRITE, 0, writeBody(handle, Buffer.from('abcdef'), LINUX_O_RDWR));
    expect(client.answers(unique)).toEqual([]);
    expect(client.error(Opcode.GETATTR, other, new Body().bytes(new Uint8Array(16)))).toBe(0);
    expect(client.error(Opcode.INTERRUPT, 0, new Body().u64(0xfff_fff))).toBe(-11);
    expect(finish(unique)).toBeGreaterThan(POLLERS / (2 * MOST_PER_SLICE));
    expect(positions(unique).answer).toBeGreaterThan(positions(unique).lastNotice);
    expect(client.answers(unique)[0]!.payload.getUint32(0, true)).toBe(6);

    // A read that wakes them: what it has taken is its own, although others write into the ring before it is answered.
    for (let index = 0; index < POLLERS; index++) poll(index + 1, index);
    const read = client.send(Opcode.READ, 0, readBody(handle, 6, LINUX_O_RDWR));
    expect(client.answers(read)).toEqual([]);
    client.send(Opcode.WRITE, 0, writeBody(handle, Buffer.from('XXXXXXXXXX'), LINUX_O_RDWR));
    finish(read);
    expect(textOf(client.answers(read)[0]!)).toBe('abcdef');
    expect(client.session.requests.size).toBe(0);
  });

  test('a call without an operation waits for its notices too, and its answer says what it has done', () => {
    const control = walk(client, 'kqueue');
    for (let index = 0; index < 100; index++) {
      const handle = openHandle(client, control, LINUX_O_RDWR);
      const change = Buffer.from('add vnode pipes write clear\n');
      client.request(Opcode.WRITE, 0, writeBody(handle, change, LINUX_O_RDWR));
      poll(handle, index);
    }
    const body = new Body().u32(0o10644).u32(0).u32(0).u32(0).name('new');
    const unique = client.send(Opcode.MKNOD, walk(client, 'pipes'), body);
    finish(unique);
    expect(client.notifiedPolls.length).toBe(100);
    expect(positions(unique).answer).toBeGreaterThan(positions(unique).lastNotice);
    const answer = client.answers(unique)[0]!;
    expect(answer.error).toBe(0);
    const { node } = client.session.nodes.get(nodeidOf(answer))!;
    expect(node.names.map(({ name }) => name)).toEqual(['new']);
    expect(client.session.requests.size).toBe(0);
  });
});

describe('the loop', () => {
  /** What comes when the loop asks: requests as long as there are some, then the end of the mount. */
  class ScriptedDevice implements ServedDevice {
    readonly hasSources = false;
    readonly script: (() => Uint8Array | number)[] = [];
    slept = 0;

    receive(buffer: ReceiveBuffer): number {
      const next = this.script.shift()?.() ?? -ENODEV;
      if (typeof next === 'number') return next;
      buffer.bytes.set(next);
      return next.length;
    }

    wait(): boolean {
      this.slept++;
      client.host.clock.nowMs += 5000;
      return false;
    }

    send(...args: Parameters<ServedDevice['send']>): boolean {
      return client.device.send(...args);
    }

    sendGathered(...args: Parameters<ServedDevice['sendGathered']>): boolean {
      return client.device.sendGathered(...args);
    }

    readonly backgroundBytes = Infinity;
    onSent = (): void => undefined;

    sendInBackground(): boolean {
      return false;
    }

    finishAnswers(): void {
      // There are none.
    }

    openBacking(): number {
      return -1;
    }

    closeBacking(): void {
      // There are none.
    }

    negotiateRing(): boolean {
      return false;
    }

    facts(): readonly [] {
      return [];
    }

    flush(): void {
      // Each answer is sent at once.
    }

    close(): void {
      // Nothing is held.
    }
  }

  function serve(device: ScriptedDevice): void {
    Object.assign(client.session, { device });
    const end = runLoop(client.session, device, {
      spinMs: 0,
      isStopping: () => false,
      onReady: () => true,
      takeMail: () => undefined,
    });
    expect(end).toBe('unmounted');
  }

  const statfs = (): Uint8Array => client.message(Opcode.STATFS, 1, new Uint8Array());

  function longestStepMs(): number {
    const counters = [...client.session.counters()];
    return counters.find(({ name }) => name === 'ipcfs_longest_step_seconds')!.value * 1000;
  }

  test('[SEC-15] while requests wait, works and timers get half of the time', () => {
    const table = walk(client, 'info/pipes');
    const pipes = client.fileSystem.root.lookup('pipes') as unknown as {
      makeFile: (name: string, mode: number, credentials: typeof user) => void;
    };
    for (let index = 0; index < 2000; index++) pipes.makeFile(`p${index}`, 0o644, user);
    const { clock } = client.host;
    const device = new ScriptedDevice();
    const opening = client.message(Opcode.OPEN, table, openBody(0).build());
    device.script.push(() => opening);
    const served: number[] = [];
    for (let index = 0; index < 5000; index++) {
      device.script.push(() => {
        served.push(clock.nowMs);
        return statfs();
      });
    }
    serve(device);
    const open = [...client.device.sent].findIndex(({ unique }) => unique === opening.readUInt32LE(8));
    expect(open).toBeGreaterThan(100);
    // A slice is a gap between two requests; before the next one, requests take as long.
    const gaps = served.flatMap((at, index) =>
      index > 0 && at - served[index - 1]! >= SLICE_MS ? [index] : [],
    );
    expect(gaps.length).toBeGreaterThan(10);
    for (const [index, gap] of gaps.slice(1).entries()) {
      const calm = served[gap - 1]! - served[gaps[index]!]!;
      expect(calm).toBeGreaterThanOrEqual(SLICE_MS);
    }
  });

  test('[SEC-15] the longest step is between two looks at the requests, sleeping not included, of the last minutes', () => {
    const { clock } = client.host;
    const device = new ScriptedDevice();
    const after = (ms: number, next: number | Uint8Array) => () => {
      clock.nowMs += ms;
      return next;
    };
    device.script.push(after(0, -11), after(0, statfs()), after(7, statfs()), after(3, -11), after(0, -11));
    serve(device);
    expect(device.slept).toBeGreaterThan(0);
    expect(longestStepMs()).toBeGreaterThanOrEqual(7);
    expect(longestStepMs()).toBeLessThan(8);

    // Still shown when the next minute has begun, and not after that.
    const minute = (ms: number): void => {
      device.script.push(after(ms, -11), after(0, statfs()), after(1, statfs()));
      serve(device);
    };
    client.session.reporter.wokeUp(Infinity);
    minute(61_000);
    expect(longestStepMs()).toBeGreaterThanOrEqual(7);
    client.session.reporter.wokeUp(Infinity);
    minute(61_000);
    expect(longestStepMs()).toBeLessThan(7);
  });
});

test('[SEC-15] the nodeids of a long request are forgotten in slices, each of them', () => {
  const { nodes } = client.session;
  const { node } = nodes.get(makePipe(client, 'known'))!;
  const COUNT = 20_000;
  const before = nodes.size;
  const body = new Body().u32(COUNT).u32(0);
  const pairs = Buffer.alloc(16 * COUNT);
  for (let index = 0; index < COUNT; index++) {
    pairs.writeBigUInt64LE(BigInt(nodes.show(node)), 16 * index);
    pairs.writeBigUInt64LE(1n, 16 * index + 8);
  }
  client.send(Opcode.BATCH_FORGET, 0, body.bytes(pairs));
  let most = before + COUNT - nodes.size;
  for (let turns = 0; nodes.size > before; turns++) {
    const size = nodes.size;
    turn();
    most = Math.max(most, size - nodes.size);
    expect(turns).toBeLessThan(COUNT);
  }
  expect(nodes.size).toBe(before);
  expect(most).toBeLessThanOrEqual(MOST_PER_SLICE);
});

test('a close is done when the next call is served', () => {
  const node = makePipe(client, 'closed');
  const handle = openHandle(client, node, LINUX_O_RDWR);
  expect(client.error(Opcode.RELEASE, 0, releaseBody(handle))).toBe(0);
  expect(client.error(Opcode.OPEN, node, openBody(LINUX_O_WRONLY | LINUX_O_NONBLOCK))).toBe(-6);
});
