import { describe, expect, test } from 'vitest';

import { type Operation, sleep, WaitChannel, WakeReason } from '../../src/kern/operation.ts';
import { type Chooser, Thread, ThreadState } from '../../src/kern/scheduler.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { SLICE_MS } from '../../src/kern/work.ts';
import { FakeHost } from '../support/engine.ts';

const interruptible = { message: 'test', interruptible: true };
const uninterruptible = { message: 'hold', interruptible: false };

/** A kernel whose threads write down what happens to them. */
class Stage {
  readonly host = new FakeHost();
  readonly kernel: Kernel;
  readonly channel: WaitChannel;
  readonly log: string[] = [];

  constructor(choose: Chooser | null = null) {
    this.kernel = new Kernel(this.host, choose);
    this.channel = this.kernel.channel('owner');
  }

  /** Sleeps once for each of `sleeps`, writes down the reasons, and returns how often it slept. */
  *sleeper(name: string, sleeps = [interruptible], timeoutMs?: number): Operation<number> {
    for (const options of sleeps) {
      const reason = yield* sleep(this.channel, options, timeoutMs);
      this.log.push(`${name} ${['awakened', 'interrupted', 'timed out'][reason]!}`);
    }
    return sleeps.length;
  }

  thread(name: string, operation: Operation<number>): Thread {
    const thread = new Thread();
    thread.operation = operation;
    thread.onExit = (result, exited) => {
      expect(exited).toBe(thread);
      expect(thread.state).toBe(ThreadState.Done);
      this.log.push(`${name} exits ${result}`);
    };
    return thread;
  }

  start(name: string, ...rest: [sleeps?: (typeof interruptible)[], timeoutMs?: number]): Thread {
    const thread = this.thread(name, this.sleeper(name, ...rest));
    this.kernel.scheduler.start(thread);
    return thread;
  }

  advance(ms: number): void {
    this.host.clock.advance(ms);
    this.kernel.callouts.runExpired();
    this.kernel.scheduler.run();
  }
}

describe('running', () => {
  test('an operation that does not sleep ends within start, and its exit is called once', () => {
    const stage = new Stage();
    const thread = stage.thread('a', stage.sleeper('a', []));
    expect(stage.kernel.scheduler.start(thread)).toBe(true);
    expect(stage.log).toEqual(['a exits 0']);
    stage.kernel.scheduler.run();
    expect(stage.log).toEqual(['a exits 0']);
  });

  test('start says that an operation sleeps, and the thread shows what for and since when', () => {
    const stage = new Stage();
    const thread = stage.thread('a', stage.sleeper('a'));
    expect(stage.kernel.scheduler.start(thread)).toBe(false);
    expect(thread.state).toBe(ThreadState.Sleeping);
    expect(thread.options?.message).toBe('test');
    expect(thread.channel?.owner).toBe('owner');
    expect(thread.sleepingSinceMs).toBe(1000);
    expect(stage.kernel.scheduler.sleepingCount).toBe(1);
    expect(stage.kernel.scheduler.runnableCount).toBe(0);
  });

  test('a wake-up makes all sleepers runnable; they run in order of their sleep, not within the wake-up', () => {
    const stage = new Stage();
    for (const name of ['a', 'b', 'c']) stage.start(name);
    stage.channel.wakeup();
    expect(stage.log).toEqual([]);
    expect([stage.kernel.scheduler.sleepingCount, stage.kernel.scheduler.runnableCount]).toEqual([0, 3]);
    expect(stage.kernel.scheduler.runOne()).toBe(true);
    expect(stage.kernel.scheduler.runnableCount).toBe(2);
    stage.kernel.scheduler.run();
    expect(stage.log.filter((line) => line.includes('exits'))).toEqual([
      'a exits 1',
      'b exits 1',
      'c exits 1',
    ]);
    expect(stage.kernel.scheduler.runOne()).toBe(false);
  });

  test('a thread that sleeps again goes to the back, behind those that were woken before', () => {
    const stage = new Stage();
    stage.start('a', [interruptible, interruptible]);
    stage.start('b');
    stage.channel.wakeup();
    stage.kernel.scheduler.runOne();
    stage.channel.wakeup();
    stage.kernel.scheduler.run();
    expect(stage.log).toEqual(['a awakened', 'b awakened', 'b exits 1', 'a awakened', 'a exits 2']);
  });

  test('wakeupOne wakes in order of arrival, and skips those that left in between', () => {
    const stage = new Stage();
    stage.channel.wakeupOne();
    const threads = ['a', 'b', 'c', 'd', 'e'].map((name) => stage.start(name));
    stage.kernel.scheduler.interrupt(threads[2]!);
    stage.kernel.scheduler.interrupt(threads[0]!);
    stage.kernel.scheduler.interrupt(threads[4]!);
    stage.kernel.scheduler.run();
    stage.start('f');
    const woken = ['b', 'd', 'f', null].map((name) => {
      stage.log.length = 0;
      stage.channel.wakeupOne();
      stage.kernel.scheduler.run();
      return [name, ...stage.log];
    });
    expect(woken).toEqual([
      ['b', 'b awakened', 'b exits 1'],
      ['d', 'd awakened', 'd exits 1'],
      ['f', 'f awakened', 'f exits 1'],
      [null],
    ]);
    expect(stage.channel.firstSleeper).toBe(null);
    expect(stage.channel.lastSleeper).toBe(null);
  });

  test('a chooser decides who runs, each thread once', () => {
    const asked: number[] = [];
    const stage = new Stage((count) => {
      asked.push(count);
      return count > 1 ? 1 : 0;
    });
    for (const name of ['a', 'b', 'c']) {
      stage.kernel.scheduler.enqueue(stage.thread(name, stage.sleeper(name, [])));
    }
    stage.kernel.scheduler.run();
    expect(asked).toEqual([3, 2, 1]);
    expect(stage.log).toEqual(['b exits 0', 'c exits 0', 'a exits 0']);
  });

  test('enqueued threads run behind the runnable ones', () => {
    const stage = new Stage();
    stage.start('a');
    stage.channel.wakeup();
    const thread = stage.thread('b', stage.sleeper('b', []));
    stage.kernel.scheduler.enqueue(thread);
    expect(thread.state).toBe(ThreadState.Runnable);
    stage.kernel.scheduler.run();
    expect(stage.log).toEqual(['a awakened', 'a exits 1', 'b exits 0']);
  });
});

describe('interrupts', () => {
  test('a sleeping thread is interrupted', () => {
    const stage = new Stage();
    const thread = stage.start('a');
    stage.kernel.scheduler.interrupt(thread);
    expect(thread.state).toBe(ThreadState.Runnable);
    stage.kernel.scheduler.interrupt(thread);
    stage.channel.wakeup();
    stage.kernel.scheduler.run();
    expect(stage.log).toEqual(['a interrupted', 'a exits 1']);
  });

  test('an interrupt between a wake-up and the run lets the wake-up stand and ends the next sleep', () => {
    const stage = new Stage();
    const thread = stage.start('a', [interruptible, interruptible]);
    stage.channel.wakeup();
    stage.kernel.scheduler.interrupt(thread);
    stage.kernel.scheduler.run();
    expect(stage.log).toEqual(['a awakened', 'a interrupted', 'a exits 2']);
  });

  test('an interrupt before the first sleep ends it at once, without a place on the channel', () => {
    const stage = new Stage();
    const thread = stage.thread('a', stage.sleeper('a'));
    stage.kernel.scheduler.interrupt(thread);
    expect(stage.kernel.scheduler.start(thread)).toBe(true);
    expect(stage.log).toEqual(['a interrupted', 'a exits 1']);
    expect(stage.channel.firstSleeper).toBe(null);
    expect(stage.kernel.scheduler.sleepingCount).toBe(0);
  });

  test('an uninterruptible sleep goes on, and the interrupt waits for an interruptible one', () => {
    const stage = new Stage();
    const thread = stage.start('a', [uninterruptible, uninterruptible, interruptible]);
    stage.kernel.scheduler.interrupt(thread);
    stage.kernel.scheduler.run();
    expect(thread.state).toBe(ThreadState.Sleeping);
    stage.channel.wakeup();
    stage.kernel.scheduler.run();
    expect(stage.log).toEqual(['a awakened']);
    stage.channel.wakeup();
    stage.kernel.scheduler.run();
    expect(stage.log).toEqual(['a awakened', 'a awakened', 'a interrupted', 'a exits 3']);
  });

  test('a thread that has ended is not interrupted', () => {
    const stage = new Stage();
    const thread = stage.thread('a', stage.sleeper('a', []));
    stage.kernel.scheduler.start(thread);
    stage.kernel.scheduler.interrupt(thread);
    expect(thread.interrupted).toBe(false);
    expect(stage.log).toEqual(['a exits 0']);
  });
});

describe('timeouts', () => {
  test('a sleep times out, not before its time', () => {
    const stage = new Stage();
    stage.start('a', [interruptible], 50);
    stage.advance(49);
    expect(stage.log).toEqual([]);
    stage.advance(1);
    expect(stage.log).toEqual(['a timed out', 'a exits 1']);
    expect(stage.channel.firstSleeper).toBe(null);
  });

  test.each(['wake-up', 'interrupt'])('a %s cancels the timeout', (what) => {
    const stage = new Stage();
    const thread = stage.start('a', [interruptible], 50);
    if (what === 'wake-up') stage.channel.wakeup();
    else stage.kernel.scheduler.interrupt(thread);
    expect(stage.kernel.callouts.size).toBe(0);
    stage.advance(50);
    expect(stage.log.length).toBe(2);
    expect(stage.log[0]).not.toContain('timed out');
  });

  test('a wake-up after the timeout does not change its outcome', () => {
    const stage = new Stage();
    stage.start('a', [uninterruptible], 50);
    stage.host.clock.advance(50);
    stage.kernel.callouts.runExpired();
    stage.channel.wakeup();
    stage.kernel.scheduler.run();
    expect(stage.log).toEqual(['a timed out', 'a exits 1']);
  });

  test('wake reasons are what the originals distinguish', () => {
    expect(WakeReason).toEqual({ Awakened: 0, Interrupted: 1, TimedOut: 2 });
  });
});

describe('misuse', () => {
  test('an operation that yields without sleeping is a broken invariant', () => {
    const stage = new Stage();
    const thread = stage.thread(
      'a',
      (function* (): Operation<number> {
        yield;
        return 0;
      })(),
    );
    expect(() => stage.kernel.scheduler.start(thread)).toThrow('yields only to sleep');
  });

  test('an operation that throws leaves the scheduler usable', () => {
    const stage = new Stage();
    const thread = stage.thread(
      'a',
      (function* (): Operation<number> {
        throw new Error('from within');
      })(),
    );
    expect(() => stage.kernel.scheduler.start(thread)).toThrow('from within');
    expect(stage.kernel.scheduler.start(stage.thread('b', stage.sleeper('b', [])))).toBe(true);
  });

  test('nothing is started from within an operation, or twice', () => {
    const stage = new Stage();
    const { scheduler } = stage.kernel;
    const inner = stage.thread('inner', stage.sleeper('inner', []));
    const outer = stage.thread(
      'outer',
      (function* (): Operation<number> {
        expect(() => scheduler.start(inner)).toThrow('no operation is started from within another');
        return 0;
      })(),
    );
    scheduler.start(outer);
    expect(() => scheduler.start(outer)).toThrow('started once');
    expect(() => {
      scheduler.enqueue(outer);
    }).toThrow('started once');
  });

  test('only a sleeping thread is resumed, only a running operation sleeps', () => {
    const stage = new Stage();
    const { scheduler } = stage.kernel;
    expect(() => {
      scheduler.resume(new Thread(), WakeReason.Awakened);
    }).toThrow('only a sleeping thread');
    expect(() => sleep(stage.channel, interruptible).next(WakeReason.Awakened)).toThrow(
      'only a running operation',
    );
  });

  test('a chooser that points nowhere is a broken invariant', () => {
    const stage = new Stage((count) => count);
    stage.kernel.scheduler.enqueue(stage.thread('a', stage.sleeper('a', [])));
    expect(() => stage.kernel.scheduler.runOne()).toThrow('the chooser picks a runnable thread');
  });
});

describe('slices', () => {
  test('[SEC-15] a slice ends by the clock; what is left runs after what is woken later, each in its order', () => {
    const COUNT = 10_000;
    const stage = new Stage();
    for (let index = 0; index < COUNT; index++) stage.start(`${index}`);
    const { clock } = stage.host;
    clock.monotonicMs = () => (clock.nowMs += SLICE_MS / 4);
    const { scheduler } = stage.kernel;
    stage.channel.wakeup();
    stage.log.length = 0;
    scheduler.runSlice();
    const first = stage.log.length / 2;
    expect(first).toBeGreaterThan(16);
    expect(first).toBeLessThan(200);
    expect([scheduler.backlogCount, scheduler.runnableCount]).toEqual([COUNT - first, COUNT - first]);

    stage.start('late');
    stage.channel.wakeup();
    scheduler.runSlice();
    expect(stage.log.slice(2 * first)).toEqual(['late awakened', 'late exits 1']);

    while (scheduler.backlogCount > 0) scheduler.runBacklog();
    const order = stage.log.filter((line) => line.endsWith('awakened')).map((line) => line.split(' ')[0]);
    order.splice(first, 1);
    expect(order).toEqual(Array.from({ length: COUNT }, (_, index) => `${index}`));
    expect(scheduler.runnableCount).toBe(0);
  });

  test('[SEC-15] timers that expire together fire in parts', () => {
    const stage = new Stage();
    const { callouts } = stage.kernel;
    let fired = 0;
    for (let index = 0; index < 1000; index++) callouts.schedule(1, () => fired++);
    const { clock } = stage.host;
    clock.nowMs += 2;
    clock.monotonicMs = () => (clock.nowMs += SLICE_MS / 4);
    callouts.runExpired(SLICE_MS);
    expect(fired).toBeGreaterThan(16);
    expect(fired).toBeLessThan(200);
    callouts.runExpired();
    expect(fired).toBe(1000);
  });
});
