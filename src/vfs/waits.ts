import { isPause } from '../kern/operation.ts';
import type { Thread } from '../kern/scheduler.ts';
import type { CallerDescription } from '../kern/host.ts';
import { Kqueue } from '../kqueue/kqueue.ts';
import type { PipeEnd } from '../pipe/end.ts';
import type { Fifo } from '../pipe/fifo.ts';
import { Segment } from '../shm/segment.ts';
import type { Node } from './node.ts';
import { PairEndNode } from './pairs.ts';
import { PipeNode } from './pipes.ts';
import { SegmentNode } from './segments.ts';
import type { SegmentFiles } from './segment-files.ts';
import type { Cell, Table } from './table.ts';

/** A call that has not been answered because its operation sleeps. */
export interface BlockedCall {
  /** The calling thread. */
  readonly pid: number;
  /** `open`, `read`, `write`, `close`. */
  readonly call: string;
  readonly node: Node;
  readonly thread: Thread;
  /** Bytes that a write has neither placed nor offered directly yet; 0 for other calls. */
  readonly residualBytes: number;
}

/** What ends a wait. */
interface End {
  /** In words. */
  readonly until: string;
  /** The inode whose holders can end it; `-` where that is not a matter of who has something open. */
  readonly inode: number | '-';
  /** The open files of that inode which can; with none it takes somebody who opens it. */
  readonly openFiles: number | '-';
}

/** What nobody can name an inode by. */
const NOBODY: Pick<End, 'inode' | 'openFiles'> = { inode: '-', openFiles: '-' };

function plural(count: number, noun: string): string {
  return count === 1 ? `its ${noun} closes` : `the last of its ${count} ${noun}s closes`;
}

/** What a write still has, with the bytes that it offers directly on `end`. */
function bytesLeft(wait: string, end: PipeEnd | null, call: BlockedCall): string {
  const offeredBytes = wait === 'pipdwt' ? (end?.chunk?.residual ?? 0) : 0;
  const bytes = call.residualBytes + offeredBytes;
  return `${bytes} byte${bytes === 1 ? '' : 's'}`;
}

function pipeUntil(wait: string, { end, readers, writers }: Fifo, call: BlockedCall): string {
  const left = bytesLeft(wait, end, call);
  switch (wait) {
    case 'piperd':
      return writers === 0 ? 'a writer opens it and writes' : `data comes, or ${plural(writers, 'writer')}`;
    case 'pipewr':
      return `readers make room for ${left}, or ${plural(readers, 'reader')}`;
    case 'pipdwt':
      return `readers take ${left}, or ${plural(readers, 'reader')}`;
    case 'pipdwc':
      return `readers empty the pipe, then take ${left}, or ${plural(readers, 'reader')}`;
    default:
      return `readers take another writer's bytes, then ${left}, or ${plural(readers, 'reader')}`;
  }
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

function otherEnd(node: PairEndNode): PairEndNode | null {
  for (const entry of node.names[0]?.directory.entries.values() ?? []) {
    if (entry !== node) return entry as PairEndNode;
  }
  return null;
}

function endOfWait(call: BlockedCall, wait: string, segments: SegmentFiles): End {
  const { node } = call;
  const owner = call.thread.channel!.owner;
  if (owner instanceof Kqueue) {
    return { until: `an event comes: ${owner.knoteCount} registered`, ...NOBODY };
  }
  if (wait === 'shmwait' && owner instanceof Segment) {
    const segment: SegmentNode = segments.nodeFor(owner);
    return {
      until: 'its size is set, or its creator closes it',
      inode: segment.inode,
      openFiles: segment.isCreatorOpen ? 1 : 0,
    };
  }
  if (wait === 'pipecl') return { until: 'calls in progress on it return', ...NOBODY };
  if (node instanceof PipeNode) {
    const { readers, writers } = node.fifo;
    // Whoever sleeps in an open has been counted on its own side only.
    if (wait === 'fifoor') return { until: 'a writer opens it', inode: node.inode, openFiles: 0 };
    if (wait === 'fifoow') return { until: 'a reader opens it', inode: node.inode, openFiles: 0 };
    return {
      until: pipeUntil(wait, node.fifo, call),
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

/** info/waits: every blocked call, who makes it, what it waits for, for how many seconds it has, and what would end it. */
export function waitsTable(
  calls: () => Iterable<BlockedCall>,
  nowMs: () => number,
  describeThread: (threadId: number) => CallerDescription | null,
  segments: SegmentFiles,
): Table {
  /** Of calls that have been shown before: looking in /proc takes longer than all the rest of a row. */
  const callers = new WeakMap<Thread, CallerDescription>();
  return {
    name: 'waits',
    columns: [
      'pid',
      'call',
      'object',
      'wait',
      'since',
      'process',
      'command',
      'ino',
      'peer-ino',
      'peers',
      'until',
    ],
    endsInText: true,
    *rows() {
      for (const call of calls()) {
        const { thread, node } = call;
        const { options } = thread;
        if (options === null || isPause(options)) continue;
        let caller = callers.get(thread);
        if (caller === undefined) {
          caller = describeThread(call.pid) ?? undefined;
          if (caller !== undefined) callers.set(thread, caller);
        }
        const { until, inode, openFiles } = endOfWait(call, options.message, segments);
        const since: Cell = Math.round(nowMs() - thread.sleepingSinceMs) / 1000;
        yield [
          call.pid,
          call.call,
          node.path,
          options.message,
          since,
          caller?.process ?? '-',
          caller?.command ?? '-',
          node.inode,
          inode,
          openFiles,
          until,
        ];
      }
    },
  };
}
