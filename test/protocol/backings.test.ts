import { expect, test } from 'vitest';
import { BackingTable } from '../../src/transports/raw/segments/backings.ts';
import { FOPEN_DIRECT_IO, FOPEN_PASSTHROUGH } from '../../src/transports/raw/protocol/constants.ts';
import type { OpenFile } from '../../src/vfs/open-file.ts';
import { LINUX_O_RDONLY, lookup, openHandle, walk } from '../support/fuse-calls.ts';
import { FuseClient, nodeidOf } from '../support/fuse-client.ts';

const MEMORY = 40;
const ENOMEM = -12;

/** Open files that are mapped to the same memory, and a table whose device gives out these ids in turn. */
function setUp(ids: number[]): { table: BackingTable; files: OpenFile[]; closed: number[] } {
  const client = new FuseClient();
  const closed: number[] = [];
  client.device.openBacking = () => ids.shift()!;
  client.device.closeBacking = (id?: number) => {
    closed.push(id!);
  };
  const info = walk(client, 'info');
  const files = [1, 2, 3].map(() => {
    const handle = openHandle(client, nodeidOf(lookup(client, info, 'version')), LINUX_O_RDONLY);
    const file = client.fileSystem.openFiles.get(handle)!;
    file.memoryDescriptor = MEMORY;
    return file;
  });
  const table = new BackingTable(client.device);
  table.negotiate(true);
  return { table, files, closed };
}

test('opens of one memory share a backing id, which the last close gives back', () => {
  const { table, files, closed } = setUp([1, 7]);
  expect([table.choose(MEMORY), table.kind, closed]).toEqual([true, 'passthrough', [1]]);
  const flags = FOPEN_DIRECT_IO | FOPEN_PASSTHROUGH;
  for (const file of files) expect(table.open(file)).toEqual({ flags, backingId: 7 });
  for (const file of files) {
    expect(closed).toEqual([1]);
    table.close(file);
  }
  expect(closed).toEqual([1, 7]);
});

test('an open that got no backing id cannot be mapped, and its close takes none from the others', () => {
  const { table, files, closed } = setUp([1, ENOMEM, 7]);
  table.choose(MEMORY);
  const [without, one, other] = files as [OpenFile, OpenFile, OpenFile];
  expect(table.open(without)).toEqual({ flags: FOPEN_DIRECT_IO, backingId: 0 });
  expect([table.open(one).backingId, table.open(other).backingId]).toEqual([7, 7]);
  table.close(one);
  table.close(without);
  expect(closed).toEqual([1]);
  table.close(other);
  expect(closed).toEqual([1, 7]);
});

test('passthrough that is refused leaves the page cache, unless it was demanded', () => {
  const { table } = setUp([ENOMEM, ENOMEM]);
  expect([table.choose(MEMORY), table.kind]).toEqual([true, 'cached']);
  table.wanted = 'passthrough';
  expect(table.choose(MEMORY)).toBe(false);
});
