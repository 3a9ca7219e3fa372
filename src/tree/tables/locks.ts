import type { LockHolder, LockRegistry, LockTable } from '../../kern/advisory-locks.ts';
import type { LockRange } from '../../kern/lock-ranges.ts';
import type { Node } from '../../vfs/node.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import type { Column, Table } from '../../vfs/table.ts';

/** A range that somebody has locked. */
interface LockRow {
  readonly node: Node;
  readonly table: LockTable;
  readonly holder: LockHolder;
  readonly file: OpenFile;
  readonly range: LockRange;
}

export const locksColumns = [
  { name: 'object', description: 'first name of the locked file', value: ({ node }) => node.path },
  { name: 'ino', description: 'its inode number', value: ({ node }) => node.inode },
  { name: 'call', description: '`flock` or `fcntl`', value: ({ table }): string => table.call },
  {
    name: 'type',
    description: '`exclusive` or `shared`',
    value: ({ range }) => (range.isExclusive ? 'exclusive' : 'shared'),
  },
  { name: 'start', description: 'first byte of the range', value: ({ range }) => range.start },
  {
    name: 'end',
    description: 'last byte of the range; `end` for a range without an end',
    value: ({ range }) => (range.end === Infinity ? 'end' : range.end),
  },
  { name: 'process', description: 'process that locked last', value: ({ holder }) => holder.pid },
  {
    name: 'opener',
    description: 'thread that opened the file through which it was locked',
    value: ({ file }) => file.credentials.pid,
  },
  { name: 'handle', description: 'number of that open file', value: ({ file }) => file.handle },
  {
    name: 'blocked',
    description: 'calls that wait for the owner of the lock',
    value: ({ holder }) => holder.blocked.size,
  },
] as const satisfies readonly Column<LockRow>[];

/** info/locks: every range that somebody has locked by flock or fcntl, and how many calls wait for its owner to let go. */
export function locksTable(registry: LockRegistry): Table<LockRow> {
  return {
    name: 'locks',
    columns: locksColumns,
    *rows() {
      for (const table of registry.tables) {
        const node = table.object as Node;
        for (const holder of table.holders.values()) {
          const file = holder.file as OpenFile;
          for (const range of holder.ranges) yield { node, table, holder, file, range };
        }
      }
    },
  };
}
