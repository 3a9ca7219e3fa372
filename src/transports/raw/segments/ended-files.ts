import type { Node } from '../../../vfs/node.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';

/** An open file that was released, and may be mapped. */
export interface Released {
  readonly pid: number;
  readonly uid: number;
  /** Null for one that holds nothing. */
  finish: (() => void) | null;
  /** Whether a look has found a mapping that may be its own: it ends after those that may never have been mapped. */
  isSeenMapped: boolean;
}

/** The open files of one memory. */
export interface Memory {
  readonly node: Node;
  readonly descriptor: number;
  readonly watch: number;
  readonly open: Set<OpenFile>;
  /** In the order of their releases. */
  released: Released[];
  /** Ends that were told, less those that were concluded: above 0 some are to be concluded, below 0 some may still be told. */
  balance: number;
  /** Whether more may have ended than was told, so that /proc is to be read. */
  isDoubtful: boolean;
  /** Whether /proc is being read for it: conclusions wait for that. */
  isAsked: boolean;
  /** Ends that were guessed meanwhile. What /proc shows then may be the same ends. */
  guessedCount: number;
}

/**
 * Whether one of these processes, which were not seen to the end, may map the memory: it has opened it, or its user has. Others' are left
 * out of account, so that no user can hide what others map by processes that nobody can read.
 */
export function mayHave({ open, released }: Memory, unseen: ReadonlyMap<number, number>): boolean {
  if (unseen.size === 0) return false;
  const uids = new Set(unseen.values());
  const isOne = (pid: number, uid: number): boolean => unseen.has(pid) || uids.has(uid) || uids.has(-1);
  for (const file of open) if (isOne(file.memoryOwnerPid, file.credentials.uid)) return true;
  return released.some(({ pid, uid }) => isOne(pid, uid));
}

/**
 * So many of the released ones, where nothing shows which have ended. First those that no look has found mapped, the latest of them
 * before the others: who opens, reads and closes is told to have ended right after its release.
 */
export function likelyEnded({ released }: Memory, count: number): readonly Released[] {
  const unseen = released.filter((one) => !one.isSeenMapped).reverse();
  return [...unseen, ...released.filter((one) => one.isSeenMapped)].slice(0, count);
}

/** Whether it makes no difference which of the released ones has ended. */
export function isOfOneProcess({ open, released }: Memory): boolean {
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
export function endedOnes(
  { open, released }: Memory,
  asked: ReadonlySet<Released>,
  endCount: number,
  guessedCount: number,
  ranges: ReadonlyMap<number, number>,
): readonly Released[] {
  const fileCounts = new Map<number, number>();
  const count = (pid: number): unknown => fileCounts.set(pid, (fileCounts.get(pid) ?? 0) + 1);
  for (const { memoryOwnerPid } of open) count(memoryOwnerPid);
  for (const { pid } of released) count(pid);
  let inheritedCount = 0;
  for (const [pid, rangeCount] of ranges) {
    inheritedCount += Math.max(0, rangeCount - (fileCounts.get(pid) ?? 0));
  }
  const left = new Map(ranges);
  const missing: Released[] = [];
  const notAsked: Released[] = [];
  const found: Released[] = [];
  for (const one of released) {
    const rangeCount = left.get(one.pid) ?? 0;
    left.set(one.pid, rangeCount - 1);
    if (rangeCount > 0) {
      one.isSeenMapped = true;
      found.push(one);
    } else (asked.has(one) ? missing : notAsked).push(one);
  }
  const endedCount = Math.max(missing.length - inheritedCount - guessedCount, endCount, 0);
  return [...missing, ...notAsked, ...found].slice(0, endedCount);
}
