import { describe, expect, test } from 'vitest';

import { EOPNOTSUPP } from '../../src/kern/errno.ts';
import { File, FREAD } from '../../src/kern/file.ts';
import {
  EV_EOF,
  EV_ONESHOT,
  EVFILT_EXCEPT,
  EVFILT_READ,
  EVFILT_VNODE,
  EVFILT_WRITE,
} from '../../src/kern/klist.ts';
import { attachVnode, plainFileKqfilter } from '../../src/vfs/vnode-filters.ts';
import * as notes from '../../src/vfs/vnode-notes.ts';
import {
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_NODATA,
  NOTE_ATTRIB,
  NOTE_DELETE,
  NOTE_EXTEND,
  NOTE_LINK,
  NOTE_RENAME,
  NOTE_REVOKE,
  NOTE_WRITE,
} from '../../src/kqueue/kevent.ts';
import { anonymousPipeOps } from '../../src/pipe/anonymous.ts';
import { user } from '../support/engine.ts';
import { change, FakeNode, KqueueWorld } from '../support/kqueue.ts';

const ALL_NOTES = 0x7f;

/** A kqueue, and nodes that can be opened. */
function setUp() {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  const open = (node: FakeNode): { fd: number; file: File } => {
    const file = new File(
      FREAD,
      { ...anonymousPipeOps, kqfilter: (_, knote) => plainFileKqfilter(node, knote) },
      user,
    );
    return { fd: world.descriptor(file), file };
  };
  const watch = (node: FakeNode, fflags = ALL_NOTES): number => {
    const { fd } = open(node);
    world.must(kq, change(EVFILT_VNODE, fd, EV_ADD | EV_CLEAR, { fflags }));
    return fd;
  };
  return { world, kq, open, watch };
}

test('K113: notes that were asked for add up, and come again only when they happen again', () => {
  const { world, kq, watch } = setUp();
  const node = new FakeNode();
  watch(node, NOTE_WRITE | NOTE_EXTEND);
  notes.noteWrite(node, true);
  notes.noteAttributes(node);
  expect(world.collect(kq)).toMatchObject([
    { fflags: NOTE_WRITE | NOTE_EXTEND, data: 0, flags: EV_ADD | EV_CLEAR },
  ]);
  expect(world.collect(kq)).toEqual([]);
  notes.noteAttributes(node);
  expect(world.collect(kq)).toEqual([]);
});

test('K113: a change that posts several notes adds all of them when one was asked for', () => {
  const { world, kq, watch } = setUp();
  const [grown, parent] = [new FakeNode(), new FakeNode()];
  watch(grown, NOTE_WRITE);
  watch(parent, NOTE_LINK);
  notes.noteWrite(grown, true);
  notes.noteAttributes(grown);
  notes.noteMakeDirectory(parent);
  expect(world.collect(kq)).toMatchObject([
    { fflags: NOTE_WRITE | NOTE_EXTEND },
    { fflags: NOTE_WRITE | NOTE_LINK },
  ]);
  notes.noteCreate(parent);
  expect(world.collect(kq)).toEqual([]);
});

test('K113: without EV_CLEAR the event repeats', () => {
  const { world, kq, open } = setUp();
  const node = new FakeNode();
  const { fd } = open(node);
  world.must(kq, change(EVFILT_VNODE, fd, EV_ADD, { fflags: NOTE_WRITE }));
  notes.noteWrite(node, false);
  for (let round = 0; round < 2; round++) expect(world.collect(kq)).toMatchObject([{ fflags: NOTE_WRITE }]);
  world.must(kq, change(EVFILT_VNODE, fd, EV_DELETE));
  expect(node.klist.size).toBe(0);
});

describe('who posts what', () => {
  const node = () => new FakeNode();
  /** fflags of the events on the nodes, in the order of `nodes`; 0 where there was none. */
  function told(act: (...nodes: FakeNode[]) => void, count: number): number[] {
    const { world, kq, watch } = setUp();
    const nodes = Array.from({ length: count }, node);
    const numbers = nodes.map((each) => watch(each));
    act(...nodes);
    const events = world.collect(kq);
    return numbers.map((fd) => events.find((event) => event.ident === fd)?.fflags ?? 0);
  }

  test('K114: a write: WRITE, and EXTEND when the file grew', () => {
    expect(
      told((file) => {
        notes.noteWrite(file, false);
      }, 1),
    ).toEqual([NOTE_WRITE]);
    expect(
      told((file) => {
        notes.noteWrite(file, true);
      }, 1),
    ).toEqual([NOTE_WRITE | NOTE_EXTEND]);
  });

  test('K114: truncate: WRITE, and EXTEND when it goes up', () => {
    expect(
      told((file) => {
        notes.noteTruncate(file, false);
      }, 1),
    ).toEqual([NOTE_WRITE]);
    expect(
      told((file) => {
        notes.noteTruncate(file, true);
      }, 1),
    ).toEqual([NOTE_WRITE | NOTE_EXTEND]);
  });

  test('K114: chmod, chown and times: ATTRIB', () => {
    expect(
      told((file) => {
        notes.noteAttributes(file);
      }, 1),
    ).toEqual([NOTE_ATTRIB]);
  });

  test('K114: creation: WRITE on the directory', () => {
    expect(
      told((directory) => {
        notes.noteCreate(directory);
      }, 1),
    ).toEqual([NOTE_WRITE]);
  });

  test('K114: unlink: DELETE on the file, WRITE on the directory', () => {
    expect(
      told((file, directory) => {
        notes.noteUnlink(file, directory);
      }, 2),
    ).toEqual([NOTE_DELETE, NOTE_WRITE]);
  });

  test('K114: link: LINK on the file, WRITE on the directory', () => {
    expect(
      told((file, directory) => {
        notes.noteLink(file, directory);
      }, 2),
    ).toEqual([NOTE_LINK, NOTE_WRITE]);
  });

  test('K114: rename: RENAME on the node, WRITE on both directories, DELETE on what was replaced', () => {
    expect(
      told((file, from, to, old) => {
        notes.noteRename(file, from, to, old);
      }, 4),
    ).toEqual([NOTE_RENAME, NOTE_WRITE, NOTE_WRITE, NOTE_DELETE]);
    expect(
      told((file, from) => {
        notes.noteRename(file, from, from, null);
      }, 2),
    ).toEqual([NOTE_RENAME, NOTE_WRITE]);
  });

  test('K114: mkdir and rmdir: WRITE and LINK on the parent', () => {
    expect(
      told((parent) => {
        notes.noteMakeDirectory(parent);
      }, 1),
    ).toEqual([NOTE_WRITE | NOTE_LINK]);
    expect(
      told((directory, parent) => {
        notes.noteRemoveDirectory(directory, parent);
      }, 2),
    ).toEqual([NOTE_DELETE, NOTE_WRITE | NOTE_LINK]);
  });
});

test('K115: a revoked node: EOF and NODATA for all its knotes, READ and WRITE become one-shot', () => {
  const { world, kq, open, watch } = setUp();
  const node = new FakeNode();
  const quiet = watch(node, NOTE_WRITE);
  const asked = watch(node, NOTE_REVOKE);
  const { fd } = open(node);
  world.must(kq, change(EVFILT_READ, fd), change(EVFILT_WRITE, fd));
  world.collect(kq);
  node.klist.notify(NOTE_REVOKE);
  const events = world.collect(kq);
  const gone = EV_EOF | EV_NODATA;
  const flagsOf = (filter: number, ident: number) =>
    events.find((event) => event.filter === filter && event.ident === ident)!;
  expect(flagsOf(EVFILT_VNODE, quiet)).toMatchObject({ fflags: 0, flags: EV_ADD | EV_CLEAR | gone });
  expect(flagsOf(EVFILT_VNODE, asked)).toMatchObject({
    fflags: NOTE_REVOKE,
    flags: EV_ADD | EV_CLEAR | gone,
  });
  for (const filter of [EVFILT_READ, EVFILT_WRITE]) {
    expect(flagsOf(filter, fd).flags).toBe(EV_ADD | EV_ONESHOT | gone);
  }
  expect(world.collect(kq)).toEqual([]);
});

test('K116: READ on a plain file is its size less the offset, and WRITE is always true', () => {
  const { world, kq, open } = setUp();
  const node = new FakeNode();
  const { fd, file } = open(node);
  node.sizeBytes = 10;
  node.offsets.set(file, 4);
  world.must(kq, change(EVFILT_READ, fd));
  expect(world.collect(kq)).toMatchObject([{ data: 6 }]);
  node.offsets.set(file, 10);
  expect(world.collect(kq)).toEqual([]);
  node.offsets.set(file, 12);
  notes.noteWrite(node, false);
  expect(world.collect(kq)).toMatchObject([{ data: -2 }]);
  world.must(kq, change(EVFILT_READ, fd, EV_DELETE), change(EVFILT_WRITE, fd));
  for (let round = 0; round < 2; round++) {
    expect(world.collect(kq)).toMatchObject([{ filter: EVFILT_WRITE, data: 0 }]);
  }
});

test('K117: a filter that a node does not have is EOPNOTSUPP', () => {
  const { world, kq, open } = setUp();
  expect(world.apply(kq, change(EVFILT_EXCEPT, open(new FakeNode()).fd))).toBe(-EOPNOTSUPP);
});

test('K113: VNODE can be watched on a node that has other READ and WRITE filters', () => {
  const { world, kq } = setUp();
  const node = new FakeNode();
  const { reader } = world.fifoEnds();
  const pipeOps = reader.ops;
  reader.ops = {
    ...pipeOps,
    kqfilter: (file, knote) =>
      knote.filter === EVFILT_VNODE ? attachVnode(node, knote) : pipeOps.kqfilter(file, knote),
  };
  const fd = world.descriptor(reader);
  world.must(
    kq,
    change(EVFILT_VNODE, fd, EV_ADD | EV_CLEAR, { fflags: NOTE_ATTRIB }),
    change(EVFILT_READ, fd),
  );
  notes.noteAttributes(node);
  expect(world.collect(kq)).toMatchObject([{ filter: EVFILT_VNODE, fflags: NOTE_ATTRIB }]);
});
