import type { WaitChannel } from '../kern/operation.ts';
import { type PipeEnd, Presence, type Traffic } from '../pipe/end.ts';
import type { Fifo } from '../pipe/fifo.ts';
import { Directory } from './directory.ts';
import type { Node } from './node.ts';
import type { OpenFileTable } from './open-file.ts';
import { PairEndNode } from './pairs.ts';
import { PipeNode } from './pipes.ts';
import type { Cell, Table } from './table.ts';

function countSleepers(channel: WaitChannel): { readers: number; writers: number } {
  let readers = 0;
  let writers = 0;
  for (let thread = channel.firstSleeper; thread !== null; thread = thread.nextSleeper) {
    if (thread.options!.message === 'piperd') readers++;
    else writers++;
  }
  return { readers, writers };
}

function endCells(path: string, inode: number, end: PipeEnd): Cell[] {
  const { ring } = end;
  return [path, inode, ring.count, ring.in, ring.out, ring.size, end.chunk?.residual ?? 0];
}

function trafficCells({ bytesIn, bytesOut }: Traffic): Cell[] {
  return [bytesIn, bytesOut];
}

function fifoState(fifo: Fifo): string {
  const { end } = fifo;
  if (end === null) return 'closed';
  if (end.endOfFile) return fifo.readers === 0 ? 'no-reader' : 'eof';
  if (fifo.writers === 0) return 'no-writer';
  return fifo.readers === 0 ? 'no-reader' : 'open';
}

function fifoRow(node: PipeNode): Cell[] {
  const { fifo, path, inode } = node;
  if (fifo.end === null)
    return [path, inode, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'closed', ...trafficCells(fifo.traffic)];
  const sleepers = countSleepers(fifo.end.channel);
  return [
    ...endCells(path, inode, fifo.end),
    fifo.readers,
    fifo.writers,
    sleepers.readers,
    sleepers.writers,
    fifoState(fifo),
    ...trafficCells(fifo.traffic),
  ];
}

/** One end of a pair: its readers have it open, its writers have the other end open. */
function pairEndRow(node: PairEndNode, peer: PairEndNode): Cell[] {
  const sleepers = countSleepers(node.end.channel);
  let state = 'open';
  if (node.end.presence !== Presence.Active) state = 'closed';
  else if (node.end.endOfFile) state = 'eof';
  return [
    ...endCells(node.path, node.inode, node.end),
    node.openCount,
    peer.openCount,
    sleepers.readers,
    sleepers.writers,
    state,
    ...trafficCells(node.end.traffic),
  ];
}

/** Every node below `directory` that is none itself, each directory's in turn. */
export function* walk(directory: Directory): Iterable<Node> {
  // With a stack of its own: users may nest directories more deeply than calls can be nested.
  const stack = [directory.entries.values()];
  while (stack.length > 0) {
    const next = stack.at(-1)!.next();
    if (next.done === true) stack.pop();
    else if (next.value instanceof Directory) stack.push(next.value.entries.values());
    else yield next.value;
  }
}

/** info/pipes: every named pipe and every end of a pair. A pipe with several names is listed once, by its first. */
export function pipesTable(pipes: Directory, pairs: Directory): Table {
  return {
    name: 'pipes',
    columns: [
      'path',
      'ino',
      'cnt',
      'in',
      'out',
      'size',
      'direct',
      'readers',
      'writers',
      'blocked-readers',
      'blocked-writers',
      'state',
      'bytes-in',
      'bytes-out',
    ],
    *rows() {
      const seen = new Set<Node>();
      for (const node of walk(pipes)) {
        if (!(node instanceof PipeNode) || seen.has(node)) continue;
        // Also what has one name: it may be moved to where this has not been yet.
        seen.add(node);
        yield fifoRow(node);
      }
      for (const directory of pairs.entries.values()) {
        const ends = [...(directory as Directory).entries.values()] as PairEndNode[];
        yield* [pairEndRow(ends[0]!, ends[1]!), pairEndRow(ends[1]!, ends[0]!)];
      }
    },
  };
}

/** info/handles: every open file. */
export function handlesTable(files: OpenFileTable): Table {
  return {
    name: 'handles',
    columns: ['handle', 'path', 'mode', 'nonblock', 'uid', 'pid', 'msgs-in', 'msgs-out'],
    *rows() {
      for (const file of files.all()) {
        yield [
          file.handle,
          file.node.path,
          (file.readable ? 'r' : '') + (file.writable ? 'w' : ''),
          file.nonBlocking ? 'yes' : 'no',
          file.credentials.uid,
          file.credentials.pid,
          file.messagesReceived,
          file.messagesSent,
        ];
      }
    },
  };
}
