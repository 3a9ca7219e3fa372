import type { MappingsSeen } from '../../host/linux/processes/mappings.ts';
import type { Kernel } from '../../kern/kernel.ts';
import type { Operation } from '../../kern/operation.ts';
import type { Mappers } from '../../vfs/transport.ts';
import { LookQuery } from './look-query.ts';

/** A look takes some milliseconds, unless a process makes it wait. */
const MAPPERS_TIMEOUT_MS = 2000;

/** By inode and process: how many ranges of its memory are mapped to that file. */
export type MappedRanges = ReadonlyMap<number, ReadonlyMap<number, number>>;

/** `unseen`: the processes that may map more, and the user of each. */
export type RangesAnswer = (ranges: MappedRanges | null, unseen?: ReadonlyMap<number, number>) => void;

/** Looks at what the host's processes map. */
export class MapperQuery extends LookQuery<MappingsSeen> {
  /** `look` begins a look; `answer` is to be called at its end. */
  constructor(kernel: Kernel, look: () => void) {
    super(kernel, look, { message: 'mappers', interruptible: true });
  }

  /** Calls back, later, with what a look finds that begins after this call; null when it has found nothing out. */
  findRanges(answer: RangesAnswer): void {
    this.lookFor((seen) => {
      if (seen === null) answer(null);
      else answer(byInode(seen), new Map(seen.unseen));
    });
  }

  /** The processes that map each inode, of those that we may look at. */
  *ask(): Operation<Mappers> {
    const seen = yield* this.wait(MAPPERS_TIMEOUT_MS);
    if (seen === null) return { byInode: new Map(), isPartial: true };
    const byInodes = [...byInode(seen)].map(([inode, counts]) => [inode, [...counts.keys()]] as const);
    return { byInode: new Map(byInodes), isPartial: seen.unseen.length > 0 };
  }
}

function byInode({ mappings }: MappingsSeen): MappedRanges {
  const ranges = new Map<number, Map<number, number>>();
  for (const [inode, pid, rangeCount] of mappings) {
    const counts = ranges.get(inode) ?? new Map<number, number>();
    ranges.set(inode, counts.set(pid, rangeCount));
  }
  return ranges;
}
