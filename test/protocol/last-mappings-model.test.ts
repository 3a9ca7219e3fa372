import { expect, test } from 'vitest';
import { CalloutQueue } from '../../src/kern/callout.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import type { MappedRanges } from '../../src/transports/common/mapper-query.ts';
import { LastMappings } from '../../src/transports/raw/segments/last-mappings.ts';
import type { Node } from '../../src/vfs/node.ts';
import { OpenFile } from '../../src/vfs/open-file.ts';
import { FakeClock } from '../support/engine.ts';
import { Random } from '../support/random.ts';

const RUNS = 12_000;
const STEPS = 60;
const INODE = 7;
const PIDS = [10, 20, 30];
/** More turns than anything may take to be noticed. */
const QUIET_TURNS = 200;
const TURN_MS = 25;

/** An open file as the kernel has it. */
interface KernelFile {
  readonly file: OpenFile;
  readonly pid: number;
  isOpen: boolean;
  isMapped: boolean;
  /** Neither open nor mapped, and the kernel has told so. */
  hasEnded: boolean;
  hasFinished: boolean;
}

/**
 * One memory whose files processes open, map, unmap and close, and a server that hears of it as it would from Linux: releases in a
 * queue, ends as events of which equal ones that are not read yet are one, and /proc, which is read a process after the other.
 */
class Model {
  readonly #random: Random;
  readonly #clock = new FakeClock();
  readonly #callouts = new CalloutQueue(this.#clock);
  readonly #node = { inode: INODE } as Node;
  readonly files: KernelFile[] = [];
  /** What has happened, for who has to find out why a history failed. */
  readonly history: string[] = [];
  readonly #releases: KernelFile[] = [];
  isWatched = false;
  /** From then on /proc can always be read. */
  #isFinishing = false;
  #isEventUnread = false;
  #closed: () => void = () => undefined;
  #asking: ((ranges: MappedRanges | null) => void)[] = [];
  #next: ((ranges: MappedRanges | null) => void)[] = [];
  /** What the look that is under way has seen, and whom it has yet to look at. */
  #seen = new Map<number, number>();
  #unseen: number[] = [];
  readonly #mappings: LastMappings;

  constructor(random: Random) {
    this.#random = random;
    this.#mappings = new LastMappings({
      closings: {
        descriptor: 9,
        onLost: () => undefined,
        watch: (_descriptor, closed) => {
          this.isWatched = true;
          this.#closed = closed;
          return 1;
        },
        unwatch: () => {
          this.isWatched = false;
          this.#isEventUnread = false;
        },
        // The kernel counts a file out after it has told of its end. What is not known is said to be used.
        isUnused: () => !this.#random.oneIn(3) && this.files.every(({ hasEnded }) => hasEnded),
        take: () => {
          if (!this.#isEventUnread) return;
          this.#isEventUnread = false;
          this.history.push('event');
          this.#closed();
        },
      },
      sources: { add: () => undefined, remove: () => undefined },
      callouts: this.#callouts,
      findRanges: (answer) => {
        this.#next.push(answer);
        if (this.#asking.length === 0) this.#beginLook();
      },
      onUnwatched: () => undefined,
    });
  }

  /** Something happens: somewhere in the processes, in the kernel, or in the server. */
  step(): void {
    const random = this.#random;
    const open = this.files.filter(({ isOpen }) => isOpen);
    const mapped = this.files.filter(({ isMapped }) => isMapped);
    const actions: (() => void)[] = [
      () => {
        this.#open(random.pick(PIDS));
      },
      () => {
        this.#kill(random.pick(PIDS));
      },
      () => {
        this.#tellOne();
      },
      () => {
        this.#serve();
      },
      () => {
        this.#serve();
      },
      () => {
        this.#look();
      },
      () => {
        this.#look();
      },
      () => {
        this.#query();
      },
      () => {
        this.#pass(random.between(1, 2 * TURN_MS));
      },
    ];
    if (open.length > 0) {
      actions.push(
        () => {
          this.#setMapped(random.pick(open), true);
        },
        () => {
          this.#close(random.pick(open));
        },
      );
    }
    if (mapped.length > 0) {
      actions.push(() => {
        this.#setMapped(random.pick(mapped), false);
      });
    }
    random.pick(actions)();
  }

  /** Every process ends, and the server has all the time that it needs. */
  finish(): void {
    this.#isFinishing = true;
    for (const pid of PIDS) this.#kill(pid);
    while (this.#tellOne());
    for (let turn = 0; turn < QUIET_TURNS; turn++) {
      this.#serve();
      this.#look();
      this.#pass(TURN_MS);
    }
  }

  /** How many files have finished beyond those that are neither open nor mapped. Which ones have, /proc does not always tell. */
  get finishedTooEarly(): number {
    const ended = this.files.filter(({ isOpen, isMapped }) => !isOpen && !isMapped);
    return this.files.length - this.unfinished.length - ended.length;
  }

  get unfinished(): number[] {
    return this.files.filter(({ hasFinished }) => !hasFinished).map(({ file }) => file.handle);
  }

  #open(pid: number): void {
    const file = new OpenFile(this.#node, this.files.length + 1, 0, rootCredentials);
    file.memoryDescriptor = 3;
    file.memoryOwnerPid = pid;
    this.#mappings.opened(file);
    this.history.push(`${pid} opens ${file.handle}`);
    this.files.push({ file, pid, isOpen: true, isMapped: false, hasEnded: false, hasFinished: false });
  }

  #setMapped(file: KernelFile, isMapped: boolean): void {
    file.isMapped = isMapped;
    this.history.push(`${isMapped ? 'map' : 'unmap'} ${file.file.handle}`);
  }

  #close(file: KernelFile): void {
    this.history.push(`close ${file.file.handle}`);
    file.isOpen = false;
    this.#releases.push(file);
  }

  #kill(pid: number): void {
    for (const file of this.files) {
      if (file.pid !== pid) continue;
      if (file.isMapped) this.#setMapped(file, false);
      if (file.isOpen) this.#close(file);
    }
  }

  /** The end of a file is told some time after it has left the tables. */
  #tellOne(): boolean {
    const gone = this.files.filter((file) => !file.isOpen && !file.isMapped && !file.hasEnded);
    if (gone.length === 0) return false;
    const told = this.#random.pick(gone);
    told.hasEnded = true;
    this.history.push(`end of ${told.file.handle}`);
    if (this.isWatched) this.#isEventUnread = true;
    return true;
  }

  /** A turn of the loop: a request, or none. */
  #serve(): void {
    const released = this.#releases.shift();
    if (released === undefined) {
      this.history.push('idle');
      if (this.#isEventUnread) this.#mappings.readable();
      while (this.#mappings.isUnsettled && this.#mappings.lookWhenIdle());
      return;
    }
    if (this.#mappings.isUnsettled) this.#mappings.look();
    const { file } = released;
    this.history.push(`RELEASE ${file.handle}`);
    this.#mappings.released(file);
    const finish = (): void => {
      released.hasFinished = true;
      this.history.push(`FINISHED ${file.handle}`);
    };
    if (file.afterMappings === null) finish();
    else file.afterMappings(finish);
  }

  /** A call that shows attachments: it may wait, and does not for long. */
  #query(): void {
    this.history.push('query');
    if (this.#mappings.isCertain()) return;
    if (this.#random.oneIn(2)) this.#mappings.hurry();
    if (this.#random.oneIn(2)) this.#mappings.guess();
  }

  #pass(ms: number): void {
    this.history.push(`${ms} ms`);
    this.#clock.advance(ms);
    this.#callouts.runExpired();
  }

  #beginLook(): void {
    this.history.push('look');
    this.#asking = this.#next;
    this.#next = [];
    this.#seen = new Map();
    this.#unseen = [...PIDS];
  }

  /** Goes on looking through /proc: at one process, or at the end with the answer. */
  #look(): void {
    if (this.#asking.length === 0) return;
    const pid = this.#unseen.shift();
    if (pid !== undefined) {
      const count = this.files.filter((file) => file.pid === pid && file.isMapped).length;
      this.history.push(`${pid} maps ${count}`);
      if (count > 0) this.#seen.set(pid, count);
      return;
    }
    const asked = this.#asking;
    const ranges = !this.#isFinishing && this.#random.oneIn(10) ? null : new Map([[INODE, this.#seen]]);
    this.history.push(ranges === null ? 'no answer' : 'answer');
    this.#asking = [];
    if (this.#next.length > 0) this.#beginLook();
    for (const answer of asked) answer(ranges);
  }
}

test(`${RUNS} histories of files that are mapped: each end is noticed in the end, and none that has not been`, () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const model = new Model(new Random(seed));
    const check = (isRight: boolean, what: string): void => {
      if (!isRight) expect.fail(`seed ${seed}: ${what}: ${model.history.join(', ')}`);
    };
    for (let step = 0; step < STEPS; step++) {
      model.step();
      check(model.finishedTooEarly <= 0, 'more have finished than have ended');
    }
    model.finish();
    check(model.unfinished.length === 0, `the end of ${model.unfinished.join(' and ')} was not noticed`);
    check(!model.isWatched, 'a watch is left');
  }
});
