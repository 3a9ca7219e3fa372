import { describe, expect, test } from 'vitest';
import { EAGAIN, EINTR } from '../../src/kern/errno.ts';
import { type Operation, sleep, WakeReason } from '../../src/kern/operation.ts';
import { type Pager, WriteUio } from '../../src/kern/uio.ts';
import { pattern, user, World } from '../support/engine.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';

const MIB = 1024 * 1024;
const KEPT_BYTES = 16 * 1024;
const HISTORIES = 100;

/** A write whose bytes can be taken away while it sleeps, and somebody who gets them back. */
class PagedWrite implements Pager {
  readonly #world: World;
  readonly #payload: Uint8Array;
  readonly uio: WriteUio;
  fetches = 0;

  constructor(world: World, payload: Uint8Array) {
    this.#world = world;
    this.#payload = payload;
    this.uio = new WriteUio([payload]);
  }

  *fetch(): Operation<number> {
    this.fetches++;
    const channel = this.#world.kernel.channel(this);
    const woken = yield* sleep(channel, { message: 'pagein', interruptible: true }, 1);
    if (woken === WakeReason.Interrupted) return -EINTR;
    this.restore();
    return 0;
  }

  restore(): void {
    this.uio.restore(this.#payload.slice());
  }

  holdBack(): void {
    this.uio.holdBack(KEPT_BYTES, this);
  }

  /** Lets a fetch that is under way end. */
  deliver(): void {
    this.#world.host.clock.advance(1);
    this.#world.kernel.callouts.runExpired();
    this.#world.kernel.scheduler.run();
  }
}

function begin(size: number, { buffered = false } = {}) {
  const world = new World();
  if (buffered) world.tune('kern.ipc.pipe_mindirect', 4 * MIB);
  const { reader, writer } = world.fifoEnds();
  const payload = pattern(size);
  const paged = new PagedWrite(world, payload);
  const call = world.call(writer.ops.write(writer, paged.uio, user));
  return { world, reader, payload, paged, call };
}

describe('writes whose bytes are elsewhere while they sleep', () => {
  test('P70, P80: what is kept can be read, the rest is fetched when it is wanted', () => {
    const { world, reader, payload, paged, call } = begin(100_000);
    paged.holdBack();
    expect(paged.uio.isHeldBack).toBe(true);
    expect(world.read(reader, 100_000).bytes).toEqual(payload.subarray(0, KEPT_BYTES));
    expect([call.waitMessage, paged.fetches]).toEqual(['pagein', 1]);
    paged.deliver();
    expect(call.waitMessage).toBe('pipdwt');
    expect(world.read(reader, 100_000).bytes).toEqual(payload.subarray(KEPT_BYTES));
    expect(call.result).toBe(100_000);
  });

  test('P76: PB2: an interrupt saves what is kept, and counts no more than that', () => {
    const { world, reader, payload, paged, call } = begin(100_000);
    expect(world.read(reader, 1000).bytes).toEqual(payload.subarray(0, 1000));
    paged.holdBack();
    call.signal();
    expect(call.result).toBe(1000 + KEPT_BYTES);
    expect(world.read(reader, 100_000).bytes).toEqual(payload.subarray(1000, 1000 + KEPT_BYTES));
  });

  test('P65: an interrupt of the fetch itself leaves the count of what was read', () => {
    const { world, reader, paged, call } = begin(100_000);
    paged.holdBack();
    expect(world.read(reader, 100_000).result).toBe(KEPT_BYTES);
    call.signal();
    expect(call.result).toBe(KEPT_BYTES);
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
  });

  test('P61: a buffered write goes on with what is kept, and fetches the rest', () => {
    const { world, reader, payload, paged, call } = begin(200_000, { buffered: true });
    paged.holdBack();
    const parts: Uint8Array[] = [];
    while (call.result === null) {
      const read = world.read(reader, 30_000);
      if (read.result! > 0) parts.push(read.bytes.slice());
      paged.deliver();
    }
    let rest = world.read(reader, MIB);
    while (rest.result! > 0) {
      parts.push(rest.bytes.slice());
      rest = world.read(reader, MIB);
    }
    expect(Buffer.concat(parts).equals(payload)).toBe(true);
    expect(paged.fetches).toBeGreaterThan(0);
  });

  test('no history of holding back and fetching loses, doubles or moves a byte', () => {
    const seed = seedFromEnvironment();
    const random = new Random(seed);
    for (let history = 0; history < HISTORIES; history++) {
      const size = 65_537 + random.below(MIB);
      const { world, reader, payload, paged, call } = begin(size, { buffered: random.below(2) === 0 });
      let at = 0;
      while (at < size) {
        if (call.result === null && !paged.uio.isHeldBack && random.below(3) === 0) paged.holdBack();
        if (random.below(3) === 0) paged.deliver();
        // Others are served too while there is room, whether they wait for it or not.
        if (paged.uio.isHeldBack && call.waitMessage !== 'pagein' && random.below(4) === 0) paged.restore();
        const { bytes, result } = world.read(reader, 1 + random.below(100_000));
        if (result! <= 0) continue;
        const wanted = payload.subarray(at, at + bytes.length);
        expect(Buffer.compare(bytes, wanted), `seed ${seed}, history ${history}, byte ${at}`).toBe(0);
        at += bytes.length;
      }
      expect(call.result).toBe(size);
    }
  });
});
