import type { OpenFile, OpenFileTable } from '../../vfs/open-file.ts';
import type { Column, Table } from '../../vfs/table.ts';

export const handlesColumns = [
  { name: 'handle', description: 'number of the open file', value: ({ handle }) => handle },
  {
    name: 'path',
    description: 'first name of the open object, `(removed)` when its names are removed',
    value: ({ node }) => node.path,
  },
  {
    name: 'mode',
    description: '`r`, `w` or `rw`',
    value: ({ readable, writable }) => (readable ? 'r' : '') + (writable ? 'w' : ''),
  },
  {
    name: 'nonblock',
    description: '`yes` with O_NONBLOCK, otherwise `no`',
    value: ({ nonBlocking }) => (nonBlocking ? 'yes' : 'no'),
  },
  { name: 'uid', description: 'user who opened it', value: ({ credentials }) => credentials.uid },
  { name: 'pid', description: 'thread that opened it', value: ({ credentials }) => credentials.pid },
  {
    name: 'msgs-in',
    description: 'reads that have moved bytes',
    value: ({ messagesReceived }) => messagesReceived,
  },
  {
    name: 'msgs-out',
    description: 'writes that have moved bytes',
    value: ({ messagesSent }) => messagesSent,
  },
] as const satisfies readonly Column<OpenFile>[];

/** info/handles: every open file. */
export function handlesTable(files: OpenFileTable): Table<OpenFile> {
  return { name: 'handles', columns: handlesColumns, rows: () => files.all() };
}
