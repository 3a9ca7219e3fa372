import { beforeEach, expect, test } from 'vitest';
import { rootCredentials } from '../../src/kern/credentials.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { Directory } from '../../src/vfs/directory.ts';
import { FileSystem } from '../../src/vfs/file-system.ts';
import { handlesTable, pipesTable } from '../../src/vfs/info.ts';
import * as tables from '../../src/vfs/table.ts';
import type { Table } from '../../src/vfs/table.ts';
import { atOnce } from '../../src/vfs/work.ts';
import { FakeHost, user } from '../support/engine.ts';

let fileSystem: FileSystem;
let pipes: Directory;
let pairs: Directory;
beforeEach(() => {
  fileSystem = new FileSystem(new Kernel(new FakeHost()), { uid: 0, gid: 0, version: '1', pid: 1 });
  pipes = fileSystem.root.lookup('pipes') as Directory;
  pairs = fileSystem.root.lookup('pairs') as Directory;
});

function tableOf(rows: Table['rows'], columns = ['name', 'count', 'last']): Table {
  return { name: 'test', columns, rows };
}

const formatTable = (table: Table): string => atOnce(tables.formatTable(table, rootCredentials)).join('');
const formatTableJson = (table: Table): string =>
  atOnce(tables.formatTableJson(table, rootCredentials)).join('');

test('columns line up, numbers to the right, and the last has no blanks behind it', () => {
  const table = tableOf(() => [
    ['a', 1, 'x'],
    ['longer', 1000, 'yy'],
  ]);
  expect(formatTable(table)).toBe('name   count last\na          1 x\nlonger  1000 yy\n');
});

test('a table without rows has its header; as JSON it is an empty array', () => {
  const table = tableOf(() => []);
  expect(formatTable(table)).toBe('name count last\n');
  expect(formatTableJson(table)).toBe('[]\n');
});

test('what would break a column is written as in /proc/mounts; bytes above ASCII stay', () => {
  const table = tableOf(
    () => [
      ['a b\n\t\\\x7f', 1, ''],
      ['\xc3\xbc\xff', 2, '-'],
    ],
    ['n', 'c', 'l'],
  );
  const lines = formatTable(table).trimEnd().split('\n');
  expect(lines.map((line) => line.trim().split(/ +/))).toEqual([
    ['n', 'c', 'l'],
    ['a\\040b\\012\\011\\134\\177', '1', '-'],
    ['\xc3\xbc\xff', '2', '-'],
  ]);
});

test('JSON is UTF-8 whatever bytes a name has', () => {
  const names = ['plain', 'quote"\\\n', '\xc3\xbc', 'bad\xff\xc3', '\xc3\xbc and \xff'];
  const text = formatTableJson(tableOf(() => names.map((name) => [name, 1, 'x'])));
  const parsed = JSON.parse(
    new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(text, 'latin1')),
  ) as {
    name: string;
  }[];
  // Names that are UTF-8 read as text, others byte by byte.
  expect(parsed.map(({ name }) => name)).toEqual([
    'plain',
    'quote"\\\n',
    'ü',
    'bad\xff\xc3',
    '\xc3\xbc and \xff',
  ]);
});

test('a table of many rows can be made', () => {
  const row = ['name', 1, 'x'];
  const text = formatTable(tableOf(() => Array.from({ length: 300_000 }, () => row)));
  expect(text.length).toBe(300_001 * 'name count last\n'.length - 300_000 * 3);
});

test('pipes in directories nested more deeply than calls can be are listed with their paths', () => {
  const depth = 20_000;
  let directory = pipes;
  for (let level = 0; level < depth; level++)
    directory = directory.makeDirectory('d', 0o755, user) as Directory;
  directory.makeFile('deep', 0o644, user);
  pipes.makeFile('shallow', 0o644, user);
  const paths = [...pipesTable(pipes, pairs).rows(rootCredentials)].map((row) => row[0] as string);
  expect(paths.map((path) => path.length)).toEqual(['pipes/'.length + 2 * depth + 4, 'pipes/shallow'.length]);
});

test('a pipe with several names is listed once, a pair by both ends', () => {
  const node = pipes.makeFile('a', 0o644, user);
  if (typeof node === 'number') throw new Error('not made');
  pipes.link('b', node, user);
  pairs.makeDirectory('p', 0o755, user);
  const rows = [...pipesTable(pipes, pairs).rows(rootCredentials)];
  expect(rows.map(([path]) => path)).toEqual(['pipes/a', 'pairs/p/0', 'pairs/p/1']);
  pipes.unlink('a', user);
  expect([...pipesTable(pipes, pairs).rows(rootCredentials)][0]![0]).toBe('pipes/b');
});

test('an open file whose names are gone is listed as removed', () => {
  const node = pipes.makeFile('a', 0o644, user);
  if (typeof node === 'number') throw new Error('not made');
  fileSystem.openFiles.add(node, 3, user);
  pipes.unlink('a', user);
  const [row] = [...handlesTable(fileSystem.openFiles).rows(rootCredentials)];
  expect(row!.slice(1)).toEqual(['(removed)', 'rw', 'no', 1000, 500, 0, 0]);
});
