import type { Mapping } from '../../host/linux/mappings.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { type Operation, sleep } from '../../kern/operation.ts';

/** A table that cannot be had shows what was known before. */
const MAPPERS_TIMEOUT_MS = 2000;

/** Which processes map which inodes of a mount; null when that could not be seen. */
export type Mappings = readonly Mapping[] | null;

/** By inode and process: how many ranges of its memory are mapped to that file. */
export type MappedRanges = ReadonlyMap<number, ReadonlyMap<number, number>>;

type Answer = (ranges: MappedRanges | null) => void;

/**
 * Looks at the host's processes, one look at a time, which serves all who have asked before it began. Looking can wait for those
 * processes, so it is done elsewhere than on the serving thread.
 */
export class MapperQuery {
  readonly #channel;
  readonly #look: () => void;
  /** Who waits for the look that is under way; null when none is. */
  #asking: Answer[] | null = null;
  /** Who has asked since, and must not be told of what was before. */
  #next: Answer[] = [];
  #found: ReadonlyMap<number, readonly number[]> = new Map();

  /** `look` begins a look; `answer` is to be called at its end. */
  constructor(kernel: Kernel, look: () => void) {
    this.#channel = kernel.channel(this);
    this.#look = look;
  }

  /** Calls back, later, with what a look finds that begins after this call; null when it failed. */
  findRanges(answer: Answer): void {
    this.#next.push(answer);
    if (this.#asking === null) this.#begin();
  }

  /** The processes that map each inode. */
  *ask(): Operation<ReadonlyMap<number, readonly number[]>> {
    this.findRanges((ranges) => {
      if (ranges !== null)
        this.#found = new Map([...ranges].map(([inode, counts]) => [inode, [...counts.keys()]]));
      this.#channel.wakeup();
    });
    yield* sleep(this.#channel, { message: 'mappers', interruptible: true }, MAPPERS_TIMEOUT_MS);
    return this.#found;
  }

  /** Makes those who asked runnable. */
  answer(mappings: Mappings): void {
    const ranges = mappings === null ? null : byInode(mappings);
    const asked = this.#asking ?? [];
    this.#asking = null;
    if (this.#next.length > 0) this.#begin();
    for (const answer of asked) answer(ranges);
  }

  #begin(): void {
    this.#asking = this.#next;
    this.#next = [];
    this.#look();
  }
}

function byInode(mappings: readonly Mapping[]): MappedRanges {
  const ranges = new Map<number, Map<number, number>>();
  for (const [inode, pid, rangeCount] of mappings) {
    const counts = ranges.get(inode) ?? new Map<number, number>();
    ranges.set(inode, counts.set(pid, rangeCount));
  }
  return ranges;
}
