import { type Segment, SegmentState } from '../../shm/segment.ts';
import type { SegmentFiles } from '../segments/segment-files.ts';
import { keyName, type SegmentNode } from '../segments/segment-node.ts';
import type { Column, Table } from '../../vfs/table.ts';
import type { Mappers, Transport } from '../../vfs/transport.ts';

const stateNames = {
  [SegmentState.Creating]: 'creating',
  [SegmentState.Live]: 'live',
  [SegmentState.Removed]: 'removed',
  [SegmentState.Destroyed]: 'destroyed',
};

interface SegmentRow {
  readonly segment: Segment;
  readonly node: SegmentNode;
  /** The processes that map it. */
  readonly mappers: readonly number[];
  /** Whether others could not be looked at. */
  readonly isPartial: boolean;
}

const SECONDS = 'in seconds since 1970; 0 for never';

export const segmentsColumns = [
  { name: 'id', description: 'id, as shmget returns it', value: ({ segment }) => segment.id },
  {
    name: 'key',
    description: 'key; `0x00000000` for a private segment',
    value: ({ segment }) => keyName(segment.key),
  },
  {
    name: 'mode',
    description: 'permission bits, in octal',
    value: ({ segment }) => segment.permissions.mode.toString(8).padStart(4, '0'),
  },
  {
    name: 'owner',
    description: 'user id of the owner',
    value: ({ segment }) => segment.permissions.ownerUid,
  },
  {
    name: 'group',
    description: 'group id of the owner',
    value: ({ segment }) => segment.permissions.ownerGid,
  },
  {
    name: 'creator',
    description: 'user id of the creator',
    value: ({ segment }) => segment.permissions.creatorUid,
  },
  {
    name: 'cgroup',
    description: 'group id of the creator',
    value: ({ segment }) => segment.permissions.creatorGid,
  },
  { name: 'size', description: 'size in bytes', value: ({ node }) => node.sizeBytes },
  { name: 'nattch', description: 'attachments', value: ({ segment }) => segment.attachCount },
  { name: 'cpid', description: 'process that created it', value: ({ segment }) => segment.creatorPid },
  {
    name: 'lpid',
    description: 'process that attached or detached last',
    value: ({ segment }) => segment.lastPid,
  },
  {
    name: 'atime',
    description: `last attach, ${SECONDS}`,
    value: ({ segment }) => segment.attachTime.seconds,
  },
  {
    name: 'dtime',
    description: `last detach, ${SECONDS}`,
    value: ({ segment }) => segment.detachTime.seconds,
  },
  {
    name: 'ctime',
    description: `last change, ${SECONDS}`,
    value: ({ segment }) => segment.changeTime.seconds,
  },
  {
    name: 'state',
    description: '`creating`, `live`, `removed` or `destroyed`',
    value: ({ segment }) => stateNames[segment.state],
  },
  {
    name: 'mapped-by',
    description:
      'processes that map it now, separated by commas; `?` for processes that the server may not look at',
    value: ({ mappers, isPartial }) => [...mappers, ...(isPartial ? ['?'] : [])].join(','),
  },
] as const satisfies readonly Column<SegmentRow>[];

/** info/shm: what ipcs -m shows of each segment, and the processes that map it now. */
export function segmentsTable(files: SegmentFiles, transport: Transport): Table<SegmentRow> {
  let mappers: Mappers = { byInode: new Map(), isPartial: false };
  return {
    name: 'shm',
    columns: segmentsColumns,
    *prepare() {
      if (files.shm.table.usedCount === 0) return;
      if (transport.findMappers !== null) mappers = yield* transport.findMappers();
      const settling = transport.settleDetaches();
      if (settling !== null) yield* settling;
    },
    *rows() {
      for (const segment of files.shm.table.segments()) {
        const node = files.nodeFor(segment);
        yield { segment, node, mappers: mappers.byInode.get(node.inode) ?? [], isPartial: mappers.isPartial };
      }
    },
  };
}
