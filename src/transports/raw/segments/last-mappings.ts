import type { PollSource, PollSources } from '../../../host/poll-sources.ts';
import type { Callout, CalloutQueue } from '../../../kern/callout.ts';
import type { Node } from '../../../vfs/node.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import type { RangesAnswer } from '../../common/mapper-query.ts';
import {
  endedOnes,
  isOfOneProcess,
  likelyEnded,
  mayHave,
  type Memory,
  type Released,
} from './ended-files.ts';

/** An open file that nobody maps has ended this long after its release, so one that has not is looked for in /proc. */
const SETTLE_MS = 20;
/** Before /proc is read again when it could not be. */
const RETRY_MS = 1000;

/** Where ends of open files are heard of; see FileClosings. */
export interface Closings {
  readonly descriptor: number;
  onLost: () => void;
  watch(memoryDescriptor: number, closed: () => void): number;
  unwatch(watch: number): void;
  take(): void;
  /** True when nobody has the memory but the server, and all ends have been told; false also when that is not known. */
  isUnused(memoryDescriptor: number): boolean;
}

export interface LastMappingsHost {
  readonly closings: Closings;
  readonly sources: PollSources;
  readonly callouts: CalloutQueue;
  /** Looks through all processes, beginning after this call; null when nothing was seen. Answers later, in the order of the calls. */
  findRanges(answer: RangesAnswer): void;
  /** A watch could not be had, for this reason: a negative errno. */
  onUnwatched(errno: number): void;
}

/**
 * Finds out when open files of segments really end. With passthrough the kernel releases ours at the last close(2), while mappings go
 * on with a file of the kernel's own, one for each of our open files.
 *
 * What the kernel tells, in this order: the release, as a request; then, when no mapping is left, the end of its own file, by inotify
 * on the memory. The system call that ends a file (close, munmap, exit) returns after both. The end has no name, and several may be
 * told as one.
 *
 * The invariant: no more files have been concluded to have ended than have ended. Each end that is told ends one released file. What
 * was told as one, or was lost, is found by two looks: a lease shows that nobody has the memory, and /proc shows how many files may be
 * mapped. An end that a look has found may be told later, so the next that is told is only a reason for another look.
 */
export class LastMappings implements PollSource {
  readonly #host: LastMappingsHost;
  readonly #memories = new Map<Node, Memory>();
  /** Balances below 0 of memories that nobody has open: ends can be told after the next open. */
  readonly #untold = new WeakMap<Node, number>();
  /** Those with something told, released, or asked for, that is not concluded. */
  readonly #unsettled = new Set<Memory>();
  #isToldMore = false;
  #callout: Callout | null = null;
  /** Whether every memory so far could be watched. */
  isComplete = true;
  /** Called when `isCertain` may have become true. */
  onConcluded: () => void = () => undefined;

  constructor(host: LastMappingsHost) {
    this.#host = host;
    host.closings.onLost = () => {
      for (const memory of this.#memories.values()) this.#doubt(memory);
    };
  }

  get descriptor(): number {
    return this.#host.closings.descriptor;
  }

  /** Whether ends may be told at any moment, or conclusions wait. */
  get isUnsettled(): boolean {
    return this.#unsettled.size > 0;
  }

  /** An open file that can be mapped, before the kernel knows of it. */
  opened(file: OpenFile): void {
    const memory = this.#memories.get(file.node) ?? this.#watch(file);
    memory?.open.add(file);
  }

  /** Its release, before its close. */
  released(file: OpenFile): void {
    const memory = this.#memories.get(file.node);
    if (memory?.open.delete(file) !== true) return;
    const released: Released = {
      pid: file.memoryOwnerPid,
      uid: file.credentials.uid,
      finish: null,
      isSeenMapped: false,
    };
    file.afterMappings = (finish) => {
      released.finish = finish;
    };
    memory.released.push(released);
    this.#unsettle(memory);
  }

  /** An open file that the kernel never took: nothing of it will be told. */
  dropped(file: OpenFile): void {
    const memory = this.#memories.get(file.node);
    if (memory?.open.delete(file) === true) this.#forgetUnused(memory);
  }

  /** Only takes what was told: its releases may be among the requests that wait. */
  readable(): void {
    this.#host.closings.take();
  }

  /** Between two requests: ends what was told to end, as far as no release that is yet to come can make a difference. */
  look(): void {
    this.#host.closings.take();
    for (const memory of this.#unsettled) this.#conclude(memory, false);
  }

  /**
   * When no request waits. The kernel queues a release before it tells of the end, so the releases of all ends that were taken
   * before are known now. Whether more was told meanwhile: then requests are to be looked for again.
   */
  lookWhenIdle(): boolean {
    for (const memory of this.#unsettled) this.#conclude(memory, true);
    this.#isToldMore = false;
    this.#host.closings.take();
    return this.#isToldMore;
  }

  /** Whether everything that has ended before this call is concluded. */
  isCertain(): boolean {
    if (this.#memories.size === 0) return true;
    this.look();
    for (const { balance, isDoubtful, isAsked } of this.#unsettled) {
      if (balance > 0 || isDoubtful || isAsked) return false;
    }
    return true;
  }

  /** Asks /proc where `isCertain` would wait for a moment without requests. */
  hurry(): void {
    for (const memory of this.#unsettled) if (memory.balance > 0) this.#ask(memory, false);
  }

  /** Ends what was told to have ended without having found whose it was: that many have. */
  guess(): void {
    for (const memory of this.#unsettled) {
      if (memory.balance <= 0) continue;
      const ended = likelyEnded(memory, memory.balance);
      if (memory.isAsked) {
        memory.guessedCount += ended.length;
        memory.isDoubtful = true;
      }
      this.#end(memory, ended);
    }
  }

  #watch(file: OpenFile): Memory | null {
    const { closings, sources } = this.#host;
    const watch = closings.watch(file.memoryDescriptor, () => {
      const fileCount = memory.open.size + memory.released.length;
      // Each open file ends once: somebody else who had a look at the memory must not end more.
      memory.balance = Math.min(memory.balance + 1, fileCount);
      this.#isToldMore = true;
      // Seen before it was told, or one of several that have ended as well. /proc may have shown one of those before the others had.
      if (memory.balance <= 0 || memory.isAsked) memory.isDoubtful = true;
      this.#unsettle(memory);
    });
    if (watch < 0) {
      this.isComplete = false;
      this.#host.onUnwatched(watch);
      return null;
    }
    const memory: Memory = {
      node: file.node,
      descriptor: file.memoryDescriptor,
      watch,
      open: new Set(),
      released: [],
      balance: this.#untold.get(file.node) ?? 0,
      isDoubtful: false,
      isAsked: false,
      guessedCount: 0,
    };
    if (this.#memories.size === 0) sources.add(this);
    this.#memories.set(file.node, memory);
    return memory;
  }

  #forgetUnused(memory: Memory): void {
    if (memory.open.size + memory.released.length > 0) return;
    const { closings, sources } = this.#host;
    const isAllTold = memory.balance >= 0 || closings.isUnused(memory.descriptor);
    this.#untold.set(memory.node, isAllTold ? 0 : memory.balance);
    closings.unwatch(memory.watch);
    this.#memories.delete(memory.node);
    this.#unsettled.delete(memory);
    if (this.#memories.size === 0) sources.remove(this);
  }

  #unsettle(memory: Memory): void {
    this.#unsettled.add(memory);
    this.#lookAfter(SETTLE_MS);
  }

  #doubt(memory: Memory): void {
    memory.isDoubtful = true;
    this.#unsettle(memory);
  }

  #conclude(memory: Memory, isIdle: boolean): void {
    if (memory.isDoubtful && this.#endUnused(memory)) return;
    if (memory.isAsked) return;
    const { open, released } = memory;
    // Nobody's whose release is known: somebody else has had a look at the memory.
    if (isIdle) memory.balance = Math.min(memory.balance, released.length);
    if (memory.balance > 0) {
      const isAll = memory.balance >= released.length && (open.size === 0 || isIdle);
      if (released.length > 0 && (isAll || isOfOneProcess(memory)))
        this.#end(memory, released.slice(0, memory.balance));
      else if (!isIdle) return;
      // What was told as one end may have been more.
      memory.isDoubtful = true;
    }
    if (memory.isDoubtful) this.#ask(memory, isIdle);
  }

  /** Looks for those that are released now: who of them is still mapped. `isIdle`: no request waits. */
  #ask(memory: Memory, isIdle: boolean): void {
    const { open, released } = memory;
    if (memory.isAsked || this.#endUnused(memory)) return;
    memory.isDoubtful = false;
    if (released.length === 0) {
      this.#settle(memory);
      return;
    }
    memory.isAsked = true;
    // An end that was told may be that of an open file whose release has not been received.
    const endCount = isIdle || open.size === 0 ? Math.max(0, memory.balance) : 0;
    const asked = new Set(released);
    this.#host.findRanges((found, unseen) => {
      const ranges = unseen !== undefined && mayHave(memory, unseen) ? null : found;
      // Told while /proc was being read, of a mapping that was not found there any more.
      this.#host.closings.take();
      const { guessedCount } = memory;
      memory.isAsked = false;
      memory.guessedCount = 0;
      if (this.#memories.get(memory.node) !== memory) return;
      const leftCount = Math.min(endCount, Math.max(0, memory.balance));
      // What is known to have ended ends; whose it was is a guess without /proc.
      if (ranges === null) this.#end(memory, likelyEnded(memory, leftCount));
      else
        this.#end(
          memory,
          endedOnes(memory, asked, leftCount, guessedCount, ranges.get(memory.node.inode) ?? new Map()),
        );
      if (ranges === null) this.#lookAfter(RETRY_MS);
      else if (memory.released.every((one) => asked.has(one))) this.#settle(memory);
      else this.#lookAfter(SETTLE_MS);
      this.onConcluded();
    });
  }

  /** Ends all when nobody has the memory. Nobody is about to open it when all that were opened have been released. */
  #endUnused(memory: Memory): boolean {
    const { open, released } = memory;
    if (released.length === 0 || open.size > 0 || !this.#host.closings.isUnused(memory.descriptor))
      return false;
    memory.balance = released.length;
    this.#end(memory, released);
    return true;
  }

  #end(memory: Memory, ended: readonly Released[]): void {
    memory.balance -= ended.length;
    memory.released = memory.released.filter((one) => !ended.includes(one));
    for (const one of ended) one.finish?.();
    this.#forgetUnused(memory);
    if (ended.length > 0) this.onConcluded();
  }

  /** Those that are released are mapped. */
  #settle(memory: Memory): void {
    if (memory.balance <= 0 && !memory.isDoubtful) this.#unsettled.delete(memory);
    else this.#lookAfter(SETTLE_MS);
  }

  #lookAfter(delayMs: number): void {
    if (this.#callout !== null) return;
    this.#callout = this.#host.callouts.schedule(delayMs, () => {
      this.#callout = null;
      this.look();
      // Also where requests have come without a pause.
      for (const memory of this.#unsettled) this.#ask(memory, false);
    });
  }
}
