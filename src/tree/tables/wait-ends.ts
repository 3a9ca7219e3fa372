import { LockWaiter } from '../../kern/advisory-locks.ts';
import { Kqueue } from '../../kqueue/kqueue.ts';
import type { PipeEnd } from '../../pipe/end.ts';
import type { Fifo } from '../../pipe/fifo.ts';
import { Segment } from '../../shm/segment.ts';
import { Fault } from '../faults/fault.ts';
import { Trace } from '../trace/trace.ts';
import { PairEndNode } from '../pairs.ts';
import { PipeNode } from '../pipes.ts';
import { SegmentNode } from '../segments/segment-node.ts';
import type { SegmentFiles } from '../segments/segment-files.ts';
import type { Watch } from '../../kern/sleeper.ts';
import type { Node } from '../../vfs/node.ts';
import type { BlockedCall } from '../../vfs/transport.ts';

/** What ends a wait. */
export interface End {
  /** In words. */
  readonly until: string;
  /** The inode whose holders can end it; `-` where that is not a matter of who has something open. */
  readonly inode: number | '-';
  /** The open files of that inode which can; with none it takes somebody who opens it. */
  readonly openFiles: number | '-';
}

/** What nobody can name an inode by. */
export const NOBODY: Pick<End, 'inode' | 'openFiles'> = { inode: '-', openFiles: '-' };

function plural(count: number, noun: string): string {
  return count === 1 ? `its ${noun} closes` : `the last of its ${count} ${noun}s closes`;
}

/** What a write still has, with the bytes that it offers directly on `end`. */
function bytesLeft(wait: string, end: PipeEnd | null, call: BlockedCall): string {
  const offeredBytes = wait === 'pipdwt' ? (end?.chunk?.residual ?? 0) : 0;
  const bytes = call.residualBytes + offeredBytes;
  return `${bytes} byte${bytes === 1 ? '' : 's'}`;
}

function pipeUntil(
  wait: string,
  { end, options }: Pick<Fifo, 'end' | 'options'>,
  { readers, writers }: Pick<Fifo, 'readers' | 'writers'>,
  call: BlockedCall,
): string {
  const left = bytesLeft(wait, end, call);
  // The name of a held pipe is one more reader and writer, which never closes.
  const orClose = (count: number, noun: string): string =>
    options.hold ? '' : `, or ${plural(count, noun)}`;
  switch (wait) {
    case 'piperd':
      if (end?.discipline?.isInPieces === true && end.queuedBytes > 0)
        return 'the reader of a long record takes the rest of it';
      if (writers === 0) return 'a writer opens it and writes';
      return (options.jobserver ? 'a token comes back' : 'data comes') + orClose(writers, 'writer');
    case 'pipewr':
      if (readers === 0) return `a reader opens it and makes room for ${left}`;
      if (end?.discipline?.isInPieces === true)
        return `readers take a long record, then ${left}${orClose(readers, 'reader')}`;
      return options.fanout && readers > 1
        ? `the slowest of its ${readers} readers makes room for ${left}, or closes`
        : `readers make room for ${left}${orClose(readers, 'reader')}`;
    case 'pipdwt':
      return `readers take ${left}, or ${plural(readers, 'reader')}`;
    case 'pipdwc':
      return `readers empty the pipe, then take ${left}, or ${plural(readers, 'reader')}`;
    default:
      return `readers take another writer's bytes, then ${left}, or ${plural(readers, 'reader')}`;
  }
}

/** The option that ends a read in time. */
function timeoutOf(wait: string, { options }: PipeNode): string {
  return wait === 'piperd' && options.timeoutMs > 0 ? `, or ${options.timeoutMs} ms pass` : '';
}

function pairUntil(wait: string, other: PipeEnd, call: BlockedCall): string {
  const left = bytesLeft(wait, other, call);
  switch (wait) {
    case 'piperd':
      return 'the other end writes, or is closed';
    case 'pipewr':
      return `the other end makes room for ${left}, or is closed`;
    case 'pipdwt':
      return `the other end takes ${left}, or is closed`;
    default:
      return `the other end takes what is before and ${left}, or is closed`;
  }
}

/** The holder that a lock waits for is named; all that hold one may be in its way. */
function lockEnd({ blocker, table }: LockWaiter, node: Node): End {
  const holders = table.holders.size;
  const until = `process ${blocker!.pid} unlocks it`;
  const others = holders > 1 ? `, one of ${holders} that have locks` : '';
  // Owners of fcntl are processes, and no open files.
  return { until: until + others, inode: node.inode, openFiles: table.call === 'flock' ? holders : '-' };
}

function otherEnd(node: PairEndNode): PairEndNode | null {
  for (const entry of node.names[0]?.directory.entries.values() ?? []) {
    if (entry !== node) return entry as PairEndNode;
  }
  return null;
}

/** What ends the wait of a blocked call. */
export function endOfWait(call: BlockedCall, wait: string, segments: SegmentFiles): End {
  const { node } = call;
  const owner = call.thread.channel!.owner;
  if (owner instanceof Kqueue) {
    return { until: `an event comes: ${owner.knoteCount} registered`, ...NOBODY };
  }
  if (owner instanceof Fault) return { until: owner.waitEnd, ...NOBODY };
  if (owner instanceof LockWaiter) return lockEnd(owner, node);
  if (wait === 'shmwait' && owner instanceof Segment) {
    const segment: SegmentNode = segments.nodeFor(owner);
    return {
      until: 'its size is set, or its creator closes it',
      inode: segment.inode,
      openFiles: segment.isCreatorOpen ? 1 : 0,
    };
  }
  if (owner instanceof Trace) return { until: 'something happens in the mount', ...NOBODY };
  if (wait === 'pipecl') return { until: 'calls in progress on it return', ...NOBODY };
  if (node instanceof PipeNode) {
    const { holders } = node.fifo;
    const readers = node.fifo.readers - holders;
    const writers = node.fifo.writers - holders;
    // A process that sleeps in an open has been counted on its own side only.
    if (wait === 'fifoor') return { until: 'a writer opens it', inode: node.inode, openFiles: 0 };
    if (wait === 'fifoow') return { until: 'a reader opens it', inode: node.inode, openFiles: 0 };
    return {
      until: pipeUntil(wait, node.fifo, { readers, writers }, call) + timeoutOf(wait, node),
      inode: node.inode,
      openFiles: wait === 'piperd' ? writers : readers,
    };
  }
  if (node instanceof PairEndNode) {
    const other = otherEnd(node);
    if (other !== null) {
      return { until: pairUntil(wait, other.end, call), inode: other.inode, openFiles: other.openCount };
    }
  }
  if (wait === 'shmrealc') return { until: 'attaches and creations under way end', ...NOBODY };
  return { until: 'the server has its answer', ...NOBODY };
}

/** What makes a file ready that a poll, select or epoll watches. */
export function endOfWatch(node: Node, direction: Watch['direction']): End {
  const isIn = direction === 'in';
  if (node instanceof PipeNode) {
    const { readers, writers, holders } = node.fifo;
    const count = (isIn ? writers : readers) - holders;
    const side = isIn ? 'writer' : 'reader';
    const what = isIn ? 'data comes' : 'readers make room';
    const orClose = node.options.hold ? '' : `, or ${plural(count, side)}`;
    const until = count === 0 ? `a ${side} opens it` : what + orClose;
    return { until, inode: node.inode, openFiles: count };
  }
  const other = node instanceof PairEndNode ? otherEnd(node) : null;
  if (other !== null) {
    const until = `the other end ${isIn ? 'writes' : 'makes room'}, or is closed`;
    return { until, inode: other.inode, openFiles: other.openCount };
  }
  return { until: 'it becomes ready', ...NOBODY };
}
