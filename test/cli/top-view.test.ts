import { expect, test } from 'vitest';
import type { Tables } from '../../src/cli/tables/tables.ts';
import { mappedBy } from '../../src/cli/tables/objects.ts';
import { pressed, type Layout } from '../../src/cli/top/keys.ts';
import type { Line } from '../../src/cli/top/lines.ts';
import { render } from '../../src/cli/top/render.ts';
import { type Facts, initialView, type View } from '../../src/cli/top/state.ts';

const SIZE = { columns: 150, rows: 24, charset: 'ascii' } as const;
const LAYOUT: Layout = { keys: [], columnCount: 9, pageRows: 10, hexPageLines: 0, hexLineCount: 0 };

const pipe = (path: string, values: Partial<Tables['pipes']>): Tables['pipes'] =>
  ({
    ...{ path, ino: 1, cnt: 0, in: 0, out: 0, size: 16_384, direct: 0, readers: 1, writers: 1 },
    ...{ 'blocked-readers': 0, 'blocked-writers': 0, state: 'open', 'bytes-in': 0, 'bytes-out': 0 },
    ...values,
  }) as Tables['pipes'];

const wait = (until: string): Tables['waits'] => ({
  ...{
    pid: 4711,
    call: 'read',
    object: 'pipes/a',
    wait: 'piperd',
    since: 1,
    process: 4711,
    command: 'cat',
  },
  ...{ ino: 1, 'peer-ino': '-', peers: 0, inferred: '-', until },
});

const segment = (mapped: string): Tables['shm'] =>
  ({
    id: 1,
    key: '0x1',
    size: 4096,
    nattch: 1,
    owner: 0,
    mode: '0644',
    state: 'live',
    'mapped-by': mapped,
  }) as Tables['shm'];

function factsOf(tables: Partial<Facts['tables']>): Facts {
  return {
    ...{ mount: '/mnt', version: '0', pid: 1, uptimeSeconds: 1, rates: new Map(), detail: null },
    ...{ pipeMemory: { usedBytes: 0, maximumBytes: 1 }, deadlocks: [], trouble: null },
    tables: { pipes: [], kqueues: [], shm: [], waits: [], ...tables },
  };
}

const textOf = (line: Line | undefined): string => (line ?? []).map(({ text }) => text).join('');
const screen = (view: View, facts: Facts): string[] => render(view, facts, SIZE).lines.map(textOf);

const TITLES = 4;

test('numbers stand near the names, also on a wide terminal', () => {
  const lines = screen(initialView(1000), factsOf({ pipes: [pipe('pipes/a', { cnt: 5 })] }));
  expect(lines[TITLES + 1]).toMatch(/^>pipes\/a {1,2}#\.+ +5 /);
});

test('a long name loses its middle', () => {
  const path = `pipes/begin${'x'.repeat(200)}end`;
  const lines = screen(initialView(1000), factsOf({ pipes: [pipe(path, {})] }));
  expect(lines[TITLES + 1]).toMatch(/^>pipes\/beginx+~x+end \./);
});

test('an arrow marks the column by which rows are sorted', () => {
  const facts = factsOf({ pipes: [pipe('pipes/a', {})] });
  const sorted = (column: number, isReversed: boolean): string => {
    const view = initialView(1000);
    return screen({ ...view, sorting: { ...view.sorting, pipes: { column, isReversed } } }, facts)[TITLES]!;
  };
  expect(sorted(-1, false)).not.toMatch(/[v^]/);
  expect(sorted(0, false)).toMatch(/^ PIPE\^ /);
  expect(sorted(0, true)).toMatch(/^ PIPEv /);
  expect(sorted(2, false)).toMatch(/ QUEUEDv /);
  expect(sorted(2, true)).toMatch(/ QUEUED\^ /);
});

test('a closed pipe has no bar', () => {
  const pipes = [pipe('pipes/a', { state: 'closed', readers: 0, writers: 0 })];
  expect(screen(initialView(1000), factsOf({ pipes }))[TITLES + 1]).toMatch(/^>pipes\/a +- +0 +- +- /);
});

test('the reason of a wait has the room that is left', () => {
  const reason = 'something that takes many words to say, and ends with the very last of them: there';
  const lines = screen({ ...initialView(1000), table: 'waits' }, factsOf({ waits: [wait(reason)] }));
  expect(lines[TITLES + 1]!.trimEnd()).toMatch(new RegExp(`${reason}$`));
});

test.each(['?', 'h'])('%s lists the keys, and again closes the list', (key) => {
  const open = pressed(initialView(1000), key, LAYOUT) as View;
  const lines = screen(open, factsOf({ pipes: [pipe('pipes/a', {})] }));
  expect(lines).toHaveLength(SIZE.rows);
  expect(lines[TITLES]).toMatch(/^ KEYS/);
  expect(lines.join('\n')).toMatch(/^ s, S +sort by/m);
  expect(lines.join('\n')).not.toContain('pipes/a');
  expect((pressed(open, key, LAYOUT) as View).isHelpOpen).toBe(false);
  expect((pressed(open, 'ESCAPE', LAYOUT) as View).isHelpOpen).toBe(false);
  expect(pressed(open, 'q', LAYOUT)).toBe('quit');
});

test('processes that map a segment are named', () => {
  const own = `${process.pid} `;
  expect(mappedBy(segment(''))).toBe('-');
  expect(mappedBy(segment(String(process.pid)))).toMatch(new RegExp(`^${own}\\S+$`));
  expect(mappedBy(segment(`${process.pid},?`))).toMatch(new RegExp(`^${own}\\S+, \\?$`));
  const many = Array.from({ length: 10 }, () => process.pid).join(',');
  expect(mappedBy(segment(many))).toMatch(/, 2 more$/);
});
