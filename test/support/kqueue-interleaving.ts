import { Resource } from '../../src/kern/accounting.ts';
import { assert } from '../../src/kern/assert.ts';
import { EINTR, ENOENT } from '../../src/kern/errno.ts';
import { type File, knotesOfClosedFile } from '../../src/kern/file.ts';
import { EV_ONESHOT, EVFILT_READ, EVFILT_USER } from '../../src/kern/klist.ts';
import { type Operation, WakeReason } from '../../src/kern/operation.ts';
import { ThreadState } from '../../src/kern/scheduler.ts';
import { MemoryReadUio, WriteUio } from '../../src/kern/uio.ts';
import {
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISABLE,
  EV_DISPATCH,
  EV_ENABLE,
  NOTE_TRIGGER,
} from '../../src/kqueue/kevent.ts';
import type { Kqueue } from '../../src/kqueue/kqueue.ts';
import { change, type KeventCall, kqueueOf, KqueueWorld } from './kqueue.ts';
import { KqueueModel } from './kqueue-model.ts';
import type { Random } from './random.ts';

const USER_IDENTS = 12;
const STEPS = 60;

/** A call that collects, and what is known of it. */
interface Collector {
  readonly call: KeventCall;
  readonly limit: number;
  /** Why its last sleep ended. */
  reason: WakeReason | null;
}

/** An open end of a pair that is watched under two numbers. */
interface Watched {
  readonly near: File;
  readonly far: File;
  readonly descriptors: readonly number[];
  bytes: number;
}

/** Changes, activity, collectors, signals, time and closes in an order that chance decides, beside a model. */
export class KqueueInterleaving {
  readonly #random: Random;
  readonly #world: KqueueWorld;
  readonly #kq: File;
  readonly #queue: Kqueue;
  readonly #model = new KqueueModel();
  readonly #collectors = new Set<Collector>();
  readonly #tally: Map<string, number>;
  #watched: Watched[] = [];
  /** The collector that ran last. */
  #ran: Collector | null = null;

  constructor(random: Random, tally: Map<string, number>) {
    this.#random = random;
    this.#tally = tally;
    this.#world = new KqueueWorld({ choose: (count) => random.below(count) });
    this.#kq = this.#world.kqueue();
    this.#queue = kqueueOf(this.#kq);
    this.#world.tune('kern.kq_wakeup_one', random.below(2));
    for (let index = 0; index < 2; index++) this.#open();
  }

  run(): void {
    for (let step = 0; step < STEPS; step++) {
      this.#step();
      this.#check();
      while (this.#random.oneIn(2) && this.#runOne());
    }
    while (this.#runOne());
    this.#close();
  }

  #count(event: string): void {
    this.#tally.set(event, (this.#tally.get(event) ?? 0) + 1);
  }

  #step(): void {
    const { scheduler } = this.#world.kernel;
    switch (this.#random.below(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        this.#change();
        break;
      case 4:
      case 5:
        this.#move(this.#random.pick(this.#watched));
        break;
      case 6:
      case 7:
        this.#collect();
        break;
      case 8:
        for (const { call } of this.#collectors) {
          if (this.#random.oneIn(4)) scheduler.interrupt(call.thread);
        }
        break;
      default:
        if (this.#random.oneIn(3)) this.#closeWatched();
        this.#world.host.clock.advance(this.#random.below(30));
        this.#world.kernel.callouts.runExpired();
    }
  }

  #open(): void {
    const [near, far] = this.#world.pair(true);
    const descriptors = [this.#world.descriptor(near), this.#world.descriptor(near)];
    this.#watched.push({ near, far, descriptors, bytes: 0 });
  }

  #closeWatched(): void {
    const watched = this.#random.pick(this.#watched);
    knotesOfClosedFile(watched.near);
    const step = watched.near.ops.close(watched.near).next(0);
    assert(step.done === true, 'an idle end closes at once');
    this.#model.closed(watched.descriptors);
    this.#watched = this.#watched.filter((other) => other !== watched);
    this.#open();
    this.#count('close');
  }

  #change(): void {
    const flags =
      this.#random.pick([EV_ADD, EV_ADD, EV_ADD, 0, EV_DELETE, EV_ENABLE, EV_DISABLE, EV_ADD | EV_DISABLE]) |
      this.#random.pick([0, 0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH, EV_CLEAR | EV_DISPATCH]);
    const isUser = this.#random.oneIn(2);
    const ident = isUser
      ? this.#random.below(USER_IDENTS)
      : this.#random.pick(this.#watched.flatMap(({ descriptors }) => descriptors));
    const fflags = this.#random.oneIn(2) ? NOTE_TRIGGER : 0;
    const made = change(isUser ? EVFILT_USER : EVFILT_READ, ident, flags, { fflags });
    const expected = this.#model.apply(made) ? 0 : -ENOENT;
    // Applied now, as the calls that wait run when the scheduler says so.
    const call = this.#world.keventCall(this.#kq, { changes: [made], eventCount: 0 });
    this.#world.kernel.scheduler.start(call.thread);
    assert(call.result === expected, `a change ends with ${call.result}, not ${expected}`);
  }

  #move(watched: Watched): void {
    const { near, far, descriptors } = watched;
    const writes = this.#random.oneIn(2);
    if (!writes && watched.bytes === 0) return;
    const operation = writes
      ? far.ops.write(far, writeOf(this.#random.between(1, 100)), near.credentials)
      : near.ops.read(near, readOf(this.#random.between(1, 200)), near.credentials);
    const step = operation.next(0);
    assert(step.done === true && step.value > 0, 'bytes move');
    watched.bytes += writes ? step.value : -step.value;
    this.#model.moved(descriptors, watched.bytes);
  }

  #collect(): void {
    const limit = this.#random.between(1, 20);
    const timeout = this.#random.pick([null, null, 0, 10, 40]);
    const call = this.#world.keventCall(this.#kq, { eventCount: limit, timeout });
    const collector: Collector = { call, limit, reason: null };
    call.thread.operation = this.#traced(collector, call.thread.operation!);
    this.#collectors.add(collector);
    this.#world.kernel.scheduler.enqueue(call.thread);
  }

  *#traced(collector: Collector, operation: Operation<number>): Operation<number> {
    let reason: WakeReason = WakeReason.Awakened;
    for (;;) {
      this.#ran = collector;
      const step = operation.next(reason);
      if (step.done === true) return step.value;
      reason = yield;
      collector.reason = reason;
    }
  }

  /** Lets one collector run, and checks what it took. */
  #runOne(): boolean {
    if (!this.#world.kernel.scheduler.runOne()) return false;
    const collector = this.#ran!;
    const { call, limit, reason } = collector;
    if (call.result === null) {
      assert(this.#model.collect(limit).length === 0, 'nobody goes to sleep beside an event');
      this.#count('sleep');
    } else {
      this.#collectors.delete(collector);
      this.#count(call.result === -EINTR ? 'interrupted' : call.result === 0 ? 'nothing' : 'events');
      // A signal ends a sleep without another look at the queue.
      if (call.result !== -EINTR || reason !== WakeReason.Interrupted) {
        const expected = this.#model.collect(limit);
        assert(
          call.idents.join() === expected.join(),
          `a call takes ${expected.join()}, not ${call.idents.join()}`,
        );
        assert(
          call.result === expected.length || call.result === -EINTR,
          'the result is the number of events',
        );
      }
    }
    this.#check();
    return true;
  }

  #check(): void {
    this.#queue.checkInvariants();
    const expected = this.#model.pending.length;
    assert(this.#queue.count === expected, `${expected} knotes are pending, not ${this.#queue.count}`);
    assert(this.#queue.knoteCount === this.#model.knotes.length, 'the same knotes are registered');
    assert(this.#world.charged(Resource.Knotes) === this.#queue.knoteCount, 'every knote is charged for');
    if (this.#world.kernel.scheduler.runnableCount > 0 || this.#collectors.size === 0) return;
    const { overlooked } = this.#model;
    assert(overlooked.length === 0, `somebody sleeps although ${overlooked.join()} is pending`);
  }

  /** The last close, with calls still waiting: they keep the queue until they are interrupted. */
  #close(): void {
    for (const { call } of this.#collectors) {
      assert(call.thread.state === ThreadState.Sleeping, 'whoever is left sleeps');
    }
    const left = this.#collectors.size;
    const step = this.#kq.ops.close(this.#kq).next(0);
    assert(step.done === true && this.#queue.isTerminated === (left === 0), 'a queue in use lives on');
    for (const { call } of this.#collectors) this.#world.kernel.scheduler.interrupt(call.thread);
    while (this.#world.kernel.scheduler.runOne());
    assert(this.#queue.isTerminated, 'a queue ends with its last call');
    assert(this.#queue.count === 0 && this.#queue.knoteCount === 0, 'nothing of it is left');
    for (const resource of [Resource.Kqueues, Resource.Knotes, Resource.BlockedCalls])
      assert(this.#world.charged(resource) === 0, 'and nobody is charged for it');
    for (const { near } of this.#watched) assert(near.newestKnote === null, 'no file has a knote of it');
    if (left > 0) this.#count('close with sleepers');
  }
}

function writeOf(length: number): WriteUio {
  return new WriteUio([new Uint8Array(length)]);
}

function readOf(length: number): MemoryReadUio {
  return new MemoryReadUio([new Uint8Array(length)]);
}
