import type { PollSource, PollSources } from '../../host/poll-sources.ts';
import type { Callout, CalloutQueue } from '../../kern/callout.ts';
import type { Node } from '../../vfs/node.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import type { MappedRanges } from '../common/mapper-query.ts';

/** An open file that nobody maps has ended this long after its release, so one that has not is looked for in /proc. */
const SETTLE_MS = 20;
/** An end is told this long after /proc has shown it, or never, since it was told as one with another. */
const UNTOLD_MS = 200;
/** Before /proc is read again when it could not be. */
const RETRY_MS = 1000;

/** Where ends of open files are heard of; see FileClosings. */
export interface Closings {
  readonly descriptor: number;
  onLost: () => void;
  watch(memoryDescriptor: number, closed: () => void): number;
  unwatch(watch: number): void;
  take(): void;
}

export interface LastMappingsHost {
  readonly closings: Closings;
  readonly sources: PollSources;
  readonly callouts: CalloutQueue;
  /** Looks through all processes, beginning after this call; null when that failed. Answers later, in the order of the calls. */
  findRanges(answer: (ranges: MappedRanges | null) => void): void;
  /** A watch could not be had, for this reason (errno). */
  onUnwatched(errno: number): void;
}

/** An open file that was released, and may be mapped. */
interface Released {
  readonly pid: number;
  /** Null for one that holds nothing. */
  finish: (() => void) | null;
  /** Whether it is known to be mapped; otherwise its end may be about to be told. */
  isMapped: boolean;
}

/** Files that /proc has shown to have ended, whose end may still be told: it must not be taken for that of another. */
interface Untold {
  count: number;
  untilMs: number;
}

/** The open files of one memory. */
interface Memory {
  readonly node: Node;
  readonly open: Set<OpenFile>;
  readonly watch: number;
  released: Released[];
  /** Ends that were told and not yet ascribed to a released file. At least so many have ended. */
  endCount: number;
  readonly untold: Untold;
  /** Whether an end was told that may be of an untold file, or of another. */
  isDoubtful: boolean;
  /** Whether /proc is being read for it: conclusions wait for that. */
  isAsked: boolean;
}

/**
 * Finds out when open files of segments really end. With passthrough the kernel releases ours at the last close(2), while mappings
 * go on with a file of the kernel's own, one for each of our open files. Its end is told, but not whose it was, and several may be
 * told as one; where that leaves a choice, the mappings in /proc decide.
 */
export class LastMappings implements PollSource {
  readonly #host: LastMappingsHost;
  readonly #memories = new Map<Node, Memory>();
  /** What may still be told of memories that nobody uses: it can come after the next open. */
  readonly #untold = new WeakMap<Node, Untold>();
  /** Those to be looked at for what was told or released. */
  readonly #changed = new Set<Memory>();
  #unsettledCount = 0;
  #callout: Callout | null = null;
  /** Whether every memory so far could be watched. */
  isComplete = true;

  constructor(host: LastMappingsHost) {
    this.#host = host;
    host.closings.onLost = () => {
      for (const memory of this.#memories.values()) this.#ask(memory, false);
    };
  }

  get descriptor(): number {
    return this.#host.closings.descriptor;
  }

  /** Whether ends of files that were released just now may be told at any moment. */
  get isUnsettled(): boolean {
    return this.#unsettledCount > 0;
  }

  /** Whether `lookWhenIdle` has something to do. */
  get isPending(): boolean {
    return this.isUnsettled || this.#changed.size > 0;
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
    const released: Released = { pid: file.memoryOwnerPid, finish: null, isMapped: false };
    file.afterMappings = (finish) => {
      released.finish = finish;
    };
    memory.released.push(released);
    this.#unsettledCount++;
    this.#changed.add(memory);
    this.#settleAfter(SETTLE_MS);
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
    for (const memory of this.#changed) this.#conclude(memory, false);
  }

  /**
   * When no request waits. The kernel queues a release before it tells of the end, so the releases of all ends that were taken
   * before are known now. Whether more was told meanwhile: then requests are to be looked for again.
   */
  lookWhenIdle(): boolean {
    for (const memory of this.#changed) this.#conclude(memory, true);
    this.#host.closings.take();
    return this.#changed.size > 0;
  }

  #watch(file: OpenFile): Memory | null {
    const { closings, sources } = this.#host;
    const untold = this.#untold.get(file.node) ?? { count: 0, untilMs: 0 };
    const watch = closings.watch(file.memoryDescriptor, () => {
      this.#changed.add(memory);
      this.#settleAfter(SETTLE_MS);
      // /proc may have shown one of several that were told as one, before the others had ended.
      if (memory.isAsked) memory.isDoubtful = true;
      if (untold.count > 0 && this.#host.callouts.nowMs() < untold.untilMs) {
        untold.count--;
        memory.isDoubtful = true;
        return;
      }
      // Each open file ends once: somebody else who had a look at the memory must not end more.
      memory.endCount = Math.min(memory.endCount + 1, memory.open.size + memory.released.length);
    });
    if (watch < 0) {
      this.isComplete = false;
      this.#host.onUnwatched(-watch);
      return null;
    }
    const memory: Memory = {
      node: file.node,
      open: new Set(),
      watch,
      released: [],
      endCount: 0,
      untold,
      isDoubtful: false,
      isAsked: false,
    };
    if (this.#memories.size === 0) sources.add(this);
    this.#memories.set(file.node, memory);
    return memory;
  }

  #forgetUnused(memory: Memory): void {
    if (memory.open.size + memory.released.length > 0) return;
    this.#host.closings.unwatch(memory.watch);
    this.#memories.delete(memory.node);
    this.#untold.set(memory.node, memory.untold);
    this.#changed.delete(memory);
    if (this.#memories.size === 0) this.#host.sources.remove(this);
  }

  #conclude(memory: Memory, isIdle: boolean): void {
    const { open, released, endCount } = memory;
    const isNothingToDo = released.length === 0 || (endCount === 0 && !memory.isDoubtful);
    if (isNothingToDo || memory.isAsked) {
      this.#changed.delete(memory);
      return;
    }
    const isAllEnded = endCount >= released.length && (open.size === 0 || isIdle);
    if (isAllEnded || isOfOneProcess(memory)) this.#end(memory, released.slice(0, endCount));
    else if (!isIdle) return;
    this.#changed.delete(memory);
    // What was told as one end may have been more.
    this.#ask(memory, isIdle);
  }

  /** Reads /proc to see which of those that are released now are still mapped. `isIdle`: no request waits. */
  #ask(memory: Memory, isIdle: boolean): void {
    if (memory.isAsked || memory.released.length === 0) return;
    memory.isAsked = true;
    // An end that was told may be that of an open file whose release has not been received.
    const endCount = isIdle || memory.open.size === 0 ? memory.endCount : 0;
    const asked = new Set(memory.released);
    memory.isDoubtful = false;
    this.#host.findRanges((ranges) => {
      // Told while /proc was being read, of a mapping that was not found there any more.
      this.#host.closings.take();
      memory.isAsked = false;
      this.#changed.add(memory);
      if (ranges === null) {
        for (const one of memory.released) this.#unsettle(one);
        this.#settleAfter(RETRY_MS);
      } else {
        const ended = endedOnes(memory, asked, endCount, ranges.get(memory.node.inode) ?? new Map());
        this.#end(memory, ended);
        for (const one of asked) {
          if (!ended.includes(one)) this.#settle(one);
        }
        if (memory.released.some(({ isMapped }) => !isMapped)) this.#settleAfter(SETTLE_MS);
      }
    });
  }

  #end(memory: Memory, ended: readonly Released[]): void {
    memory.endCount -= ended.length;
    if (memory.endCount < 0) {
      memory.untold.count = -memory.endCount;
      memory.untold.untilMs = this.#host.callouts.nowMs() + UNTOLD_MS;
      memory.endCount = 0;
    }
    memory.released = memory.released.filter((one) => !ended.includes(one));
    for (const one of ended) {
      this.#settle(one);
      one.finish?.();
    }
    this.#forgetUnused(memory);
  }

  #settle(released: Released): void {
    if (released.isMapped) return;
    released.isMapped = true;
    this.#unsettledCount--;
  }

  /** It could not be seen whether it is still mapped. */
  #unsettle(released: Released): void {
    if (!released.isMapped) return;
    released.isMapped = false;
    this.#unsettledCount++;
  }

  #settleAfter(delayMs: number): void {
    if (this.#callout !== null) return;
    this.#callout = this.#host.callouts.schedule(delayMs, () => {
      this.#callout = null;
      this.look();
      for (const memory of this.#memories.values()) {
        // Also where requests have come without a pause.
        if (this.#changed.has(memory) || memory.released.some(({ isMapped }) => !isMapped))
          this.#ask(memory, false);
      }
    });
  }
}

/** Whether it makes no difference which of the released ones has ended. */
function isOfOneProcess({ open, released }: Memory): boolean {
  const { pid } = released[0]!;
  if (released.some((one) => one.pid !== pid)) return false;
  for (const file of open) if (file.memoryOwnerPid !== pid) return false;
  return true;
}

/**
 * Which of the released files have ended: at least `endCount`. `ranges` shows by process what was mapped when those in `asked` had
 * been released. A file is mapped by its process, unless it was inherited or passed on: ranges of a process that are more than the
 * files it has opened may be of any.
 */
function endedOnes(
  { open, released }: Memory,
  asked: ReadonlySet<Released>,
  endCount: number,
  ranges: ReadonlyMap<number, number>,
): Released[] {
  const openCounts = new Map<number, number>();
  const count = (pid: number): unknown => openCounts.set(pid, (openCounts.get(pid) ?? 0) + 1);
  for (const file of open) count(file.memoryOwnerPid);
  for (const { pid } of released) count(pid);
  let inheritedCount = 0;
  for (const [pid, rangeCount] of ranges) {
    inheritedCount += Math.max(0, rangeCount - (openCounts.get(pid) ?? 0));
  }
  const left = new Map(ranges);
  const likelihoods = new Map<Released, number>();
  let unmappedCount = 0;
  for (const one of released) {
    const rangeCount = left.get(one.pid) ?? 0;
    left.set(one.pid, rangeCount - 1);
    const isUnmapped = rangeCount <= 0;
    const isSeenUnmapped = isUnmapped && asked.has(one);
    if (isSeenUnmapped) unmappedCount++;
    const isSpare = openCounts.get(one.pid)! > (ranges.get(one.pid) ?? 0);
    // Who has been released since is looked for again, who was asked for is not: it must not be left over in another's place.
    likelihoods.set(
      one,
      (isSeenUnmapped ? 8 : 0) + (isUnmapped ? 4 : 0) + (isSpare ? 2 : 0) + (one.isMapped ? 0 : 1),
    );
  }
  const endedCount = Math.max(unmappedCount - inheritedCount, Math.min(endCount, released.length));
  // What has ended for certain, but not which: the likeliest.
  return [...released]
    .sort((one, other) => likelihoods.get(other)! - likelihoods.get(one)!)
    .slice(0, Math.max(0, endedCount));
}
