import { type PipeEnd, Presence, type Traffic } from '../../pipe/end.ts';
import { NO_OPTIONS, optionWords, type PipeOptions } from '../../pipe/pipe-options.ts';
import type { Drops } from '../../pipe/discipline.ts';
import type { Directory } from '../../vfs/directory.ts';
import type { Node } from '../../vfs/node.ts';
import { type Column, NO_ROW, type Table } from '../../vfs/table.ts';
import type { PairEndNode } from '../pairs.ts';
import { PipeNode } from '../pipes.ts';
import { walk } from './walk.ts';

interface Sleepers {
  readers: number;
  writers: number;
}

/** Ends of pairs have no options. */
const noDrops: Drops = { bytes: 0, records: 0 };

/** A named pipe, or an end of a pair. */
interface PipeRow {
  readonly node: Node;
  /** Null for a named pipe that nobody has open. */
  readonly end: PipeEnd | null;
  readonly readers: number;
  readonly writers: number;
  readonly sleepers: Sleepers;
  readonly state: string;
  readonly traffic: Traffic;
  readonly options: PipeOptions;
  readonly drops: Drops;
}

export const pipesColumns = [
  {
    name: 'path',
    description: 'its first name, from the root of the mount',
    value: ({ node }) => node.path,
  },
  { name: 'ino', description: 'inode number', value: ({ node }) => node.inode },
  { name: 'cnt', description: 'bytes in the ring', value: ({ end }) => end?.ring.count ?? 0 },
  { name: 'in', description: 'ring index of the next byte to come', value: ({ end }) => end?.ring.in ?? 0 },
  { name: 'out', description: 'ring index of the next byte to go', value: ({ end }) => end?.ring.out ?? 0 },
  { name: 'size', description: 'size of the ring, in bytes', value: ({ end }) => end?.ring.size ?? 0 },
  {
    name: 'direct',
    description: 'bytes of a sleeping writer that can be read',
    value: ({ end }) => end?.chunk?.residual ?? 0,
  },
  { name: 'readers', description: 'open files that can read', value: ({ readers }) => readers },
  { name: 'writers', description: 'open files that can write', value: ({ writers }) => writers },
  {
    name: 'blocked-readers',
    description: 'reads that wait',
    value: ({ sleepers }) => sleepers.readers,
  },
  {
    name: 'blocked-writers',
    description: 'other calls that wait on it',
    value: ({ sleepers }) => sleepers.writers,
  },
  {
    name: 'state',
    description: '`open`, `no-reader`, `no-writer`, `eof` (readers read end-of-file) or `closed`',
    value: ({ state }) => state,
  },
  {
    name: 'bytes-in',
    description: 'bytes written since the pipe was created',
    value: ({ traffic }) => traffic.bytesIn,
  },
  {
    name: 'bytes-out',
    description: 'bytes read since the pipe was created',
    value: ({ traffic }) => traffic.bytesOut,
  },
  {
    name: 'options',
    description: 'options of the pipe, `-` for none',
    value: ({ options }) => optionWords(options).join(',') || '-',
  },
  {
    name: 'bytes-dropped',
    description: 'bytes that an option dropped since the pipe was created',
    value: ({ drops }) => drops.bytes,
  },
  {
    name: 'records-dropped',
    description: 'whole records (lines or writes) among the dropped bytes',
    value: ({ drops }) => drops.records,
  },
] as const satisfies readonly Column<PipeRow>[];

function countSleepers(end: PipeEnd | null): Sleepers {
  const sleepers = { readers: 0, writers: 0 };
  for (let thread = end?.channel.firstSleeper ?? null; thread !== null; thread = thread.nextSleeper) {
    if (thread.options!.message === 'piperd') sleepers.readers++;
    else sleepers.writers++;
  }
  return sleepers;
}

function fifoState(end: PipeEnd | null, readers: number, writers: number, isHeld: boolean): string {
  if (end === null || (isHeld && readers + writers === 0)) return 'closed';
  if (end.endOfFile) return readers === 0 ? 'no-reader' : 'eof';
  if (writers === 0) return 'no-writer';
  return readers === 0 ? 'no-reader' : 'open';
}

function fifoRow(node: PipeNode): PipeRow {
  const { end, holders, traffic, options, drops } = node.fifo;
  // The name that holds the pipe is no open file.
  const readers = node.fifo.readers - holders;
  const writers = node.fifo.writers - holders;
  const state = fifoState(end, readers, writers, holders > 0);
  return { node, end, readers, writers, sleepers: countSleepers(end), state, traffic, options, drops };
}

/** One end of a pair: its readers have it open, its writers have the other end open. */
function pairEndRow(node: PairEndNode, peer: PairEndNode): PipeRow {
  const { end } = node;
  let state = 'open';
  if (end.presence !== Presence.Active) state = 'closed';
  else if (end.endOfFile) state = 'eof';
  const opens = { readers: node.openCount, writers: peer.openCount };
  return {
    node,
    end,
    ...opens,
    sleepers: countSleepers(end),
    state,
    traffic: end.traffic,
    options: NO_OPTIONS,
    drops: noDrops,
  };
}

/** info/pipes: every named pipe and every end of a pair. A pipe with several names is listed once, by its first. */
export function pipesTable(pipes: Directory, pairs: Directory): Table<PipeRow> {
  return {
    name: 'pipes',
    columns: pipesColumns,
    *rows() {
      const seen = new Set<Node>();
      for (const node of walk(pipes)) {
        if (!(node instanceof PipeNode) || seen.has(node)) {
          yield NO_ROW;
          continue;
        }
        // Also what has one name: it may be moved to where this has not been yet.
        seen.add(node);
        yield fifoRow(node);
      }
      for (const directory of pairs.entries.values()) {
        const [one, other] = [...(directory as Directory).entries.values()] as [PairEndNode, PairEndNode];
        yield pairEndRow(one, other);
        yield pairEndRow(other, one);
      }
    },
  };
}
