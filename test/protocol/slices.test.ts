import { beforeEach, expect, test } from 'vitest';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { EBUSY } from '../../src/kern/errno.ts';
import { WakeReason } from '../../src/kern/operation.ts';
import type { Directory, DirectoryEntry } from '../../src/vfs/directory.ts';
import { SLICE_MS } from '../../src/kern/work.ts';
import { user } from '../support/engine.ts';
import {
  LINUX_O_RDONLY,
  LINUX_O_RDWR,
  lookup,
  makePipe,
  openBody,
  openHandle,
  readBody,
  releaseBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { FuseClient, handleOf, textOf } from '../support/fuse-client.ts';

/** How far the clock moves whenever somebody looks at it: a step of a work has one look. */
const STEP_MS = SLICE_MS / 10;
const STEPS_PER_SLICE = 10;
const PIPES = 1000;

let client: FuseClient;
let pipes: Directory;
beforeEach(() => {
  client = new FuseClient();
  pipes = client.fileSystem.root.lookup('pipes') as Directory;
  const { clock } = client.host;
  clock.monotonicMs = () => (clock.nowMs += STEP_MS);
});

function makePipes(count: number, prefix = 'p'): void {
  for (let index = 0; index < count; index++) pipes.makeFile(`${prefix}${index}`, 0o644, user);
}

/** A turn of the loop without a request. */
function turn(): void {
  client.fileSystem.kernel.callouts.runExpired();
  client.session.settleBacklog();
}

/** Opens info/NAME and takes turns until the open is answered; calls `between` before each. The text, and how many turns it took. */
function openTable(name: string, between: (turns: number) => void = () => undefined): [string, number] {
  const unique = client.send(Opcode.OPEN, walk(client, `info/${name}`), openBody(LINUX_O_RDONLY));
  let turns = 0;
  while (client.answers(unique).length === 0) {
    between(turns);
    turn();
    turns++;
  }
  return [readAll(handleOf(client.answers(unique)[0]!)), turns];
}

function readAll(handle: number): string {
  let text = '';
  for (;;) {
    const part = textOf(client.request(Opcode.READ, 0, readBody(handle, 65536, LINUX_O_RDONLY, text.length)));
    if (part === '') return text;
    text += part;
  }
}

function paths(table: string): string[] {
  return (JSON.parse(table) as { path: string }[]).map(({ path }) => path);
}

test('a small table is made by the open itself', () => {
  makePipes(STEPS_PER_SLICE / 2 - 1);
  expect(openTable('pipes')[1]).toBe(0);
  expect(openTable('version')[1]).toBe(0);
});

test.each(['pipes', 'pipes.json'])(
  'a long %s is made in slices, and others are served in between',
  (name) => {
    makePipes(PIPES);
    let served = 0;
    const [text, turns] = openTable(name, () => {
      expect(lookup(client, walk(client, 'pipes'), 'p0').error).toBe(0);
      served++;
    });
    expect(text.split('\n').length).toBeGreaterThan(PIPES);
    // The open takes the first slice itself.
    expect((turns + 1) * (STEPS_PER_SLICE + 1)).toBeGreaterThanOrEqual(PIPES);
    expect(served).toBe(turns);
  },
);

test('no slice makes more rows than fit into it', () => {
  makePipes(PIPES);
  let rows = 0;
  // Each row asks its pipe for its path once.
  for (const node of pipes.entries.values()) {
    Object.defineProperty(node, 'path', { get: () => `pipe ${rows++}` });
  }
  let before = 0;
  let most = 0;
  openTable('pipes.json', () => {
    most = Math.max(most, rows - before);
    before = rows;
  });
  expect(rows).toBe(PIPES);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(STEPS_PER_SLICE + 1);
});

test('[SEC-15] a write of many changes is carried out in slices, all of them, and others are served in between', () => {
  makePipes(1);
  const handle = openHandle(client, walk(client, 'kqueue'), LINUX_O_RDWR);
  const lines = Array.from({ length: 2000 }, (_, index) => `add user ${index}\n`).join('');
  const bytes = Buffer.from(lines, 'latin1');
  const unique = client.send(Opcode.WRITE, walk(client, 'kqueue'), writeBody(handle, bytes, LINUX_O_RDWR));
  let turns = 0;
  for (; client.answers(unique).length === 0; turns++) {
    expect(lookup(client, walk(client, 'pipes'), 'p0').error).toBe(0);
    turn();
  }
  expect(turns).toBeGreaterThan(2000 / (16 * STEPS_PER_SLICE));
  expect(client.answers(unique)[0]!.payload.getUint32(0, true)).toBe(bytes.length);
  expect([...client.fileSystem.kqueues.kqueues].map(({ knoteCount }) => knoteCount)).toEqual([2000]);
});

test('[SEC-15] lines are read in slices too, and what another writes meanwhile begins where the write ends', () => {
  makePipes(1);
  const handle = openHandle(client, walk(client, 'kqueue'), LINUX_O_RDWR);
  const lines = `add user 1\n${'#\n'.repeat(5000)}add us`;
  const unique = client.send(Opcode.WRITE, 0, writeBody(handle, Buffer.from(lines), LINUX_O_RDWR));
  const rest = client.request(Opcode.WRITE, 0, writeBody(handle, Buffer.from('er 2\n'), LINUX_O_RDWR));
  expect(rest.payload.getUint32(0, true)).toBe(5);
  let turns = 0;
  for (; client.answers(unique).length === 0; turns++) {
    expect(lookup(client, walk(client, 'pipes'), 'p0').error).toBe(0);
    turn();
  }
  expect(turns).toBeGreaterThan(5000 / (16 * (STEPS_PER_SLICE + 2)));
  expect(client.answers(unique)[0]!.payload.getUint32(0, true)).toBe(lines.length);
  const [kqueue] = client.fileSystem.kqueues.kqueues;
  expect([...kqueue!.knotes()].map(({ ident }) => ident).sort()).toEqual([1, 2]);
});

test('[SEC-15] changes that take long are applied one a slice', () => {
  const node = walk(client, 'pipes');
  const handle = openHandle(client, walk(client, 'kqueue'), LINUX_O_RDWR);
  makePipes(1);
  let walks = 0;
  const look = pipes.lookup.bind(pipes);
  pipes.lookup = (name) => {
    walks++;
    client.host.clock.nowMs += SLICE_MS;
    return look(name);
  };
  const lines = 'add vnode pipes/p0 write\n'.repeat(8);
  const unique = client.send(Opcode.WRITE, node, writeBody(handle, Buffer.from(lines), LINUX_O_RDWR));
  let turns = 0;
  for (; client.answers(unique).length === 0; turns++) {
    expect(walks).toBeLessThanOrEqual(turns + 1);
    turn();
  }
  expect([walks, turns]).toEqual([8, 7]);
});

test('[SEC-15] a long directory is listed in slices: each name that stays once', () => {
  makePipes(20 * 64 * STEPS_PER_SLICE);
  const handle = handleOf(client.request(Opcode.OPENDIR, walk(client, 'pipes'), openBody(LINUX_O_RDONLY)));
  const unique = client.send(Opcode.READDIR, 0, readBody(handle, 4096));
  let turns = 0;
  for (; client.answers(unique).length === 0; turns++) {
    if (turns === 3) pipes.unlink('p0', user);
    expect(lookup(client, walk(client, 'pipes'), 'p1').error).toBe(0);
    // The directory stays open as long as somebody reads it.
    expect(client.error(Opcode.RELEASEDIR, 0, releaseBody(handle))).toBe(-EBUSY);
    turn();
  }
  expect(turns).toBeGreaterThanOrEqual(15);
  const names = (client.fileSystem.openFiles.get(handle)!.data as DirectoryEntry[]).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toContain('p1');
  expect(client.error(Opcode.RELEASEDIR, 0, releaseBody(handle))).toBe(0);
});

test.each(['kqueues', 'knotes'])('[SEC-15] info/%s looks for closed descriptors in slices', (name) => {
  const handle = openHandle(client, walk(client, 'kqueue'), LINUX_O_RDWR);
  const lines = Array.from({ length: 4000 }, (_, index) => `add user ${index}\n`).join('');
  const unique = client.send(Opcode.WRITE, 0, writeBody(handle, Buffer.from(lines), LINUX_O_RDWR));
  while (client.answers(unique).length === 0) turn();
  const [kqueue] = client.fileSystem.kqueues.kqueues;
  let looked = 0;
  for (const knote of kqueue!.knotes()) {
    Object.defineProperty(knote, 'isOrphan', { get: () => looked++ >= 0 });
  }
  let before = 0;
  let most = 0;
  const [text] = openTable(name, () => {
    most = Math.max(most, looked - before);
    before = looked;
  });
  expect(looked).toBe(4000);
  most = Math.max(most, looked - before);
  expect(most).toBeLessThanOrEqual(16 * (STEPS_PER_SLICE + 1));
  expect(kqueue!.knoteCount).toBe(0);
  expect(text.trimEnd().split('\n').length).toBe(name === 'knotes' ? 1 : 2);
});

test('works at the same time have slices in turns', () => {
  makePipes(PIPES);
  const node = walk(client, 'info/pipes');
  const alone = openTable('pipes')[1];
  const uniques = Array.from({ length: 5 }, () => client.send(Opcode.OPEN, node, openBody(LINUX_O_RDONLY)));
  let turns = 0;
  for (; uniques.some((unique) => client.answers(unique).length === 0); turns++) {
    const beforeMs = client.host.clock.nowMs;
    turn();
    // The looks of the callouts themselves, and one step more than fits for each work.
    expect(client.host.clock.nowMs - beforeMs).toBeLessThan(SLICE_MS + 25 * STEP_MS);
  }
  expect(turns).toBeGreaterThan(2 * alone);
});

test('objects that go and come while a table is made: whole rows, each at most once', () => {
  makePipes(PIPES);
  makePipes(5, 'q');
  const table = openTable('pipes.json', (turns) => {
    if (turns !== 5) return;
    for (let index = 500; index < PIPES; index++) pipes.unlink(`p${index}`, user);
    // What has its row gets another name, at the end of the directory.
    expect(client.fileSystem.rename(pipes, 'p0', pipes, 'again', { noReplace: true })).toBe(0);
    makePipes(3, 'late');
  })[0];
  const shown = paths(table);
  expect(new Set(shown).size).toBe(shown.length);
  expect(shown).toEqual([
    ...Array.from({ length: 500 }, (_, index) => `pipes/p${index}`),
    ...Array.from({ length: 5 }, (_, index) => `pipes/q${index}`),
    ...Array.from({ length: 3 }, (_, index) => `pipes/late${index}`),
  ]);
});

test('every pipe goes while the table is made, with the directories that it is in', () => {
  const directory = pipes.makeDirectory('d', 0o755, user) as Directory;
  for (let index = 0; index < PIPES; index++) directory.makeFile(`p${index}`, 0o644, user);
  const [text] = openTable('pipes', (turns) => {
    if (turns !== 3) return;
    for (const name of [...directory.entries.keys()]) directory.unlink(name, user);
    expect(pipes.rmdir('d')).toBe(0);
  });
  const lines = text.trimEnd().split('\n');
  expect(lines.length).toBeLessThan(100);
  for (const line of lines) expect(line.split(/ +/).length).toBe(lines[0]!.split(/ +/).length);
});

test('handles that are closed while info/handles is made', () => {
  const node = makePipe(client, 'a');
  const handles = Array.from({ length: 200 }, () => openHandle(client, node, LINUX_O_RDWR));
  const [text] = openTable('handles.json', (turns) => {
    if (turns !== 3) return;
    const { openFiles } = client.fileSystem;
    for (const handle of handles) openFiles.close(openFiles.get(handle)!).next(WakeReason.Awakened);
  });
  const rows = JSON.parse(text) as { handle: number }[];
  expect(rows.length).toBeLessThan(200);
  expect(rows[0]!.handle).toBe(handles[0]);
});

test('an open that is making its table waits for nothing: info/waits does not show it', () => {
  makePipes(PIPES);
  const unique = client.send(Opcode.OPEN, walk(client, 'info/pipes'), openBody(LINUX_O_RDONLY));
  expect(client.answers(unique)).toEqual([]);
  const blocked = makePipe(client, 'blocked');
  client.send(Opcode.OPEN, blocked, openBody(LINUX_O_RDONLY));
  const rows = JSON.parse(openTable('waits.json')[0]) as { object: string }[];
  expect(rows.map(({ object }) => object)).toEqual(['pipes/blocked']);
});

test('[SEC-15] writes of many changes have slices in turns, however many there are', () => {
  const lines = Array.from({ length: 400 }, (_, index) => `add user ${index}\n#\n`).join('');
  const uniques = Array.from({ length: 20 }, () => {
    const handle = openHandle(client, walk(client, 'kqueue'), LINUX_O_RDWR);
    return client.send(Opcode.WRITE, 0, writeBody(handle, Buffer.from(lines), LINUX_O_RDWR));
  });
  for (let turns = 0; uniques.some((unique) => client.answers(unique).length === 0); turns++) {
    const beforeMs = client.host.clock.nowMs;
    turn();
    // Beside the slice: the looks of a turn, and for each write its last step, which sleeps, and its callout.
    expect(client.host.clock.nowMs - beforeMs).toBeLessThan(SLICE_MS + 20 * 8 * STEP_MS);
  }
  expect([...client.fileSystem.kqueues.kqueues].map(({ knoteCount }) => knoteCount)).toEqual(
    Array.from({ length: 20 }, () => 400),
  );
});
