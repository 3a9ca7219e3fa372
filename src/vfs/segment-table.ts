import type { Operation } from '../kern/operation.ts';
import { SegmentState } from '../shm/segment.ts';
import type { SegmentFiles } from './segment-files.ts';
import { keyName } from './segments.ts';
import type { Table } from './table.ts';

type FindMappers = () => Operation<ReadonlyMap<number, readonly number[]>>;

const stateNames = {
  [SegmentState.Creating]: 'creating',
  [SegmentState.Live]: 'live',
  [SegmentState.Removed]: 'removed',
  [SegmentState.Destroyed]: 'destroyed',
};

/** info/shm: what ipcs -m shows of each segment, and the processes that map it now, separated by commas. */
export function segmentsTable(files: SegmentFiles, findMappers: () => FindMappers | null): Table {
  let mappers: ReadonlyMap<number, readonly number[]> = new Map();
  return {
    name: 'shm',
    columns: [
      'id',
      'key',
      'mode',
      'owner',
      'group',
      'creator',
      'cgroup',
      'size',
      'nattch',
      'cpid',
      'lpid',
      'atime',
      'dtime',
      'ctime',
      'state',
      'mapped-by',
    ],
    *prepare() {
      const find = findMappers();
      if (find !== null && files.shm.table.usedCount > 0) mappers = yield* find();
    },
    *rows() {
      for (const segment of files.shm.table.segments()) {
        const { permissions } = segment;
        yield [
          segment.id,
          keyName(segment.key),
          permissions.mode.toString(8).padStart(4, '0'),
          permissions.ownerUid,
          permissions.ownerGid,
          permissions.creatorUid,
          permissions.creatorGid,
          files.nodeFor(segment).sizeBytes,
          segment.attachCount,
          segment.creatorPid,
          segment.lastPid,
          segment.attachTime.seconds,
          segment.detachTime.seconds,
          segment.changeTime.seconds,
          stateNames[segment.state],
          (mappers.get(files.nodeFor(segment).inode) ?? []).join(','),
        ];
      }
    },
  };
}
