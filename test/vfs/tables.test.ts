import { beforeEach, describe, expect, test } from 'vitest';
import { type Account, Resource } from '../../src/kern/accounting.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { Directory } from '../../src/vfs/directory.ts';
import { FileSystem } from '../../src/tree/file-system.ts';
import { handlesTable } from '../../src/tree/tables/handles.ts';
import { pipesTable } from '../../src/tree/tables/pipes.ts';
import * as tables from '../../src/vfs/table.ts';
import type { Table } from '../../src/vfs/table.ts';
import { atOnce } from '../../src/kern/work.ts';
import { FREAD } from '../../src/kern/file.ts';
import type { Node } from '../../src/vfs/node.ts';
import { OpenFile } from '../../src/vfs/open-file.ts';
import { TableMemory, TableSpace } from '../../src/vfs/table-memory.ts';
import { FakeHost, user } from '../support/engine.ts';

let fileSystem: FileSystem;
let pipes: Directory;
let pairs: Directory;
beforeEach(() => {
  fileSystem = new FileSystem(new Kernel(new FakeHost()), {
    identity: { uid: 0, gid: 0, version: '1', pid: 1 },
  });
  pipes = fileSystem.root.lookup('pipes') as Directory;
  pairs = fileSystem.root.lookup('pairs') as Directory;
});

type Cells = readonly tables.Cell[];

function tableOf(rows: () => Iterable<Cells>, names = ['name', 'count', 'last']): Table<Cells> {
  const columns = names.map((name, index) => ({ name, description: '', value: (row: Cells) => row[index]! }));
  return { name: 'test', columns, rows };
}

/** Room for a table of an open file of `user`. */
function space(memory = new TableMemory(fileSystem.kernel)): TableSpace {
  return new TableSpace(memory, new OpenFile(fileSystem.root, 1, FREAD, user));
}

/** The text that a format makes of a table. */
function textOf(format: typeof tables.formatTable, table: Table<Cells>): string {
  const made = space();
  expect(atOnce(format(table as Table, rootCredentials, made))).toBe(true);
  const bytes = new Uint8Array(made.text.sizeBytes);
  let at = 0;
  const uio = {
    offset: 0,
    residual: bytes.length,
    moveOut(source: Uint8Array, start: number, length: number) {
      bytes.set(source.subarray(start, start + length), at);
      at += length;
      return 0;
    },
  };
  expect(made.text.read(uio)).toBe(bytes.length);
  return Buffer.from(bytes).toString('latin1');
}

const formatTable = (table: Table<Cells>): string => textOf(tables.formatTable, table);
const formatTableJson = (table: Table<Cells>): string => textOf(tables.formatTableJson, table);
const cellsOf = <Row>(table: Table<Row>): Cells[] =>
  [...table.rows(rootCredentials)].flatMap((row) =>
    row === tables.NO_ROW ? [] : [table.columns.map((column) => column.value(row))],
  );

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

test('what would break a column is written as in /proc/mounts; UTF-8 stays', () => {
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
    ['\xc3\xbc\\377', '2', '-'],
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

test('pipes in directories nested as deeply as they can be are listed with their paths', () => {
  const depth = 2000;
  let directory = pipes;
  for (let level = 0; level < depth; level++)
    directory = directory.makeDirectory('d', 0o755, user) as Directory;
  directory.makeFile('deep', 0o644, user);
  pipes.makeFile('shallow', 0o644, user);
  const paths = cellsOf(pipesTable(pipes, pairs)).map((row) => row[0] as string);
  expect(paths.map((path) => path.length)).toEqual(['pipes/'.length + 2 * depth + 4, 'pipes/shallow'.length]);
});

test('a pipe with several names is listed once, a pair by both ends', () => {
  const node = pipes.makeFile('a', 0o644, user);
  if (typeof node === 'number') throw new Error('not made');
  pipes.link('b', node, user);
  pairs.makeDirectory('p', 0o755, user);
  const rows = cellsOf(pipesTable(pipes, pairs));
  expect(rows.map(([path]) => path)).toEqual(['pipes/a', 'pairs/p/0', 'pairs/p/1']);
  pipes.unlink('a', user);
  expect(cellsOf(pipesTable(pipes, pairs))[0]![0]).toBe('pipes/b');
});

test('an open file whose names are gone is listed as removed', () => {
  const node = pipes.makeFile('a', 0o644, user);
  if (typeof node === 'number') throw new Error('not made');
  fileSystem.openFiles.add(node, 3, user);
  pipes.unlink('a', user);
  const [row] = cellsOf(handlesTable(fileSystem.openFiles));
  expect(row!.slice(1)).toEqual(['(removed)', 'rw', 'no', 1000, 500, 0, 0]);
});

test('cells have at most 256 characters in text and are whole in JSON; no column is padded to more than 64', () => {
  const name = `pipes/${'\x01'.repeat(1000)}/end`;
  const table = tableOf(() => [
    [name, 1, 'x'],
    ['short', 2, 'y'],
    ['m'.repeat(64), 3, 'z'],
  ]);
  const [header, long, short] = formatTable(table).split('\n');
  expect(header!.length).toBe(64 + ' count last'.length);
  expect(long!.length).toBeLessThanOrEqual(256 + '     1 x'.length);
  expect(long).toMatch(/^pipes\/\\001.*\\001\\\.\.\.\\001.*\/end +1 x$/);
  expect(short).toBe(`short${' '.repeat(59)}     2 y`);
  expect((JSON.parse(formatTableJson(table)) as { name: string }[])[0]!.name).toBe(name);
});

test('text for people at the end of a row keeps its blanks, and nothing else that is dangerous', () => {
  const table = { ...tableOf(() => [['a', 1, 'until it\tends\x9b \xe2\x80\xae']]), endsInText: true };
  expect(formatTable(table)).toBe('name count last\na        1 until it\\011ends\\233 \\342\\200\\256\n');
});

describe('what tables take', () => {
  const MIB = 1024 * 1024;
  let memory: TableMemory;
  let account: Account;
  beforeEach(() => {
    memory = new TableMemory(fileSystem.kernel);
    account = fileSystem.kernel.accounts.of(user.uid);
  });

  /** A table that is being made, of rows of about a KiB. */
  class Making {
    readonly file: OpenFile;
    readonly space: TableSpace;
    readonly #work: ReturnType<typeof tables.formatTable>;
    built = 0;
    result: boolean | undefined;

    constructor(format: typeof tables.formatTable, rows: number, credentials = user) {
      this.file = fileSystem.openFiles.add(fileSystem.root, FREAD, credentials) as OpenFile;
      this.space = new TableSpace(memory, this.file);
      const table = tableOf(() => this.#rows(rows));
      this.#work = format(table, rootCredentials, this.space);
    }

    *#rows(count: number): Iterable<Cells> {
      for (let row = 0; row < count; row++) {
        this.built++;
        yield ['n'.repeat(250), row, ['a', 'b', 'c'].map((text) => text.repeat(250)).join('')];
      }
    }

    /** Takes steps until as many rows have been built, or to the end. */
    run(rows = Infinity): this {
      while (this.built < rows && this.result === undefined) {
        const step = this.#work.next();
        if (step.done === true) this.result = step.value;
      }
      return this;
    }

    end(): void {
      this.space.end();
      fileSystem.openFiles.drop(this.file);
    }
  }

  test.each([tables.formatTable, tables.formatTableJson])(
    '[SEC-21] a row is charged before it is built, and a table that the quota does not hold ends at that row: %o',
    (format) => {
      fileSystem.kernel.sysctls.get('ipcfs.quota.held_bytes')!.set!(MIB);
      const making = new Making(format, 100_000).run(100);
      expect(account.used(Resource.HeldBytes)).toBeGreaterThan(100 * 300);
      making.run();
      expect(making.result).toBe(false);
      expect(making.built).toBeLessThan(4000);
      expect(account.used(Resource.HeldBytes)).toBeLessThanOrEqual(MIB);
      making.end();
      expect([account.used(Resource.HeldBytes), memory.usedBytes]).toEqual([0, 0]);
      fileSystem.kernel.sysctls.get('ipcfs.quota.held_bytes')!.set!(1000);
      let cells = 0;
      const columns = [{ name: 'small', description: '', value: () => cells++ }];
      const small: Table = { name: 'small', columns, rows: () => [{}] };
      const refused = new Making(format, 0);
      expect([atOnce(format(small, rootCredentials, refused.space)), cells]).toEqual([false, 0]);
    },
  );

  test('[SEC-21] all tables under way share a bound, of which one user may have a quarter and root everything', () => {
    memory.limitBytes = 8 * MIB;
    const others = Array.from({ length: 5 }, (_, index) => ({ ...user, uid: 2000 + index }));
    const [first, ...more] = others.map(
      (credentials) => new Making(tables.formatTableJson, 100_000, credentials),
    );
    expect(first!.run().result).toBe(false);
    expect(memory.usedBytes).toBeGreaterThan(2 * MIB - 2 * 12_288);
    expect(memory.usedBytes).toBeLessThanOrEqual(2 * MIB);
    // Another table of the same user finds nothing; others find theirs until there is no more.
    const second = new Making(tables.formatTableJson, 100_000, others[0]);
    expect(second.run().result).toBe(false);
    expect(second.built).toBeLessThanOrEqual(13);
    for (const each of more) expect(each.run().result).toBe(false);
    expect(memory.usedBytes).toBeLessThanOrEqual(8 * MIB);
    expect(more.at(-1)!.built).toBeLessThanOrEqual(13);
    for (const each of [first!, second, ...more]) each.end();
    expect(memory.usedBytes).toBe(0);
    const own = new Making(tables.formatTableJson, 5000, rootCredentials).run();
    expect(own.result).toBe(true);
    expect(memory.usedBytes).toBeGreaterThan(4 * MIB);
    own.end();
  });

  test('directories without pipes and pipes with many names take turns too', () => {
    for (let index = 0; index < 50; index++) pipes.makeDirectory(`d${index}`, 0o755, user);
    const node = pipes.makeFile('p', 0o644, user) as Node;
    for (let index = 0; index < 50; index++) pipes.link(`p${index}`, node, user);
    const rows = [...pipesTable(pipes, pairs).rows(rootCredentials)];
    expect(rows).toHaveLength(101);
    expect(rows.filter((row) => row !== tables.NO_ROW)).toHaveLength(1);
  });
});
