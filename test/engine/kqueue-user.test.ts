import { expect, test } from 'vitest';

import type { File } from '../../src/kern/file.ts';
import { EVFILT_USER } from '../../src/kern/klist.ts';
import {
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISABLE,
  EV_ENABLE,
  NOTE_FFAND,
  NOTE_FFCOPY,
  NOTE_FFOR,
  NOTE_TRIGGER,
} from '../../src/kqueue/kevent.ts';
import { change, KqueueWorld } from '../support/kqueue.ts';

/** The operation that leaves the flags as they are (NOTE_FFNOP). */
const NOTE_FFNOP = 0;

function setUp(): { world: KqueueWorld; kq: File } {
  const world = new KqueueWorld();
  return { world, kq: world.kqueue() };
}

test('K88, K90: a USER knote of any ident fires when it is triggered', () => {
  const { world, kq } = setUp();
  const idents = [0, 1, 2 ** 40, 2n ** 64n - 1n];
  for (const ident of idents) {
    world.must(kq, change(EVFILT_USER, ident));
    expect(world.collect(kq)).toEqual([]);
    world.must(kq, change(EVFILT_USER, ident, 0, { fflags: NOTE_TRIGGER }));
    expect(world.idents(kq)).toEqual([ident]);
    world.must(kq, change(EVFILT_USER, ident, EV_DELETE));
  }
});

test('K89: NOTE_TRIGGER in the creating EV_ADD fires at once', () => {
  const { world, kq } = setUp();
  world.must(kq, change(EVFILT_USER, 1, EV_ADD, { fflags: NOTE_TRIGGER }));
  expect(world.idents(kq)).toEqual([1]);
});

test('K91, K95: the control bits combine 24 bits with the stored flags, which events show with the data', () => {
  const { world, kq } = setUp();
  world.must(kq, change(EVFILT_USER, 1, EV_ADD, { fflags: NOTE_TRIGGER }));
  const fflagsAfter = (fflags: number) => {
    world.must(kq, change(EVFILT_USER, 1, 0, { fflags: fflags >>> 0, data: 34 }));
    const [event] = world.collect(kq);
    expect(event!.data).toBe(34);
    return event!.fflags;
  };
  expect(fflagsAfter(NOTE_FFCOPY | 0xf0)).toBe(0xf0);
  expect(fflagsAfter(NOTE_FFOR | 0x0f)).toBe(0xff);
  expect(fflagsAfter(NOTE_FFAND | 0x3c)).toBe(0x3c);
  expect(fflagsAfter(NOTE_FFNOP | 0x77)).toBe(0x3c);
  expect(fflagsAfter(NOTE_FFCOPY | 0xffffff)).toBe(0xffffff);
  expect(fflagsAfter(NOTE_FFCOPY | 0x3f000012)).toBe(0x12);
});

test('K92: every modification replaces the data', () => {
  const { world, kq } = setUp();
  world.must(kq, change(EVFILT_USER, 1, EV_ADD, { data: 9 }));
  world.must(kq, change(EVFILT_USER, 1, 0, { fflags: NOTE_TRIGGER }));
  expect(world.collect(kq)).toMatchObject([{ data: 0 }]);
  world.must(kq, change(EVFILT_USER, 1, EV_ENABLE, { data: 2n ** 62n + 1n }));
  expect(world.collect(kq)).toMatchObject([{ data: 2n ** 62n + 1n }]);
});

test('K93: a USER knote keeps the udata it was created with', () => {
  const { world, kq } = setUp();
  world.must(kq, change(EVFILT_USER, 1, EV_ADD, { udata: 5 }));
  world.must(kq, change(EVFILT_USER, 1, EV_ADD, { udata: 6, fflags: NOTE_TRIGGER }));
  expect(world.collect(kq)).toMatchObject([{ udata: 5 }]);
});

test('K94: EV_CLEAR in a modification undoes the trigger, one in the same change too', () => {
  const { world, kq } = setUp();
  world.must(kq, change(EVFILT_USER, 1));
  world.must(kq, change(EVFILT_USER, 1, 0, { fflags: NOTE_TRIGGER }));
  world.must(kq, change(EVFILT_USER, 1, EV_CLEAR));
  expect(world.collect(kq)).toEqual([]);
  world.must(kq, change(EVFILT_USER, 1, EV_CLEAR, { fflags: NOTE_TRIGGER }));
  expect(world.collect(kq)).toEqual([]);
});

test('K96: a USER knote with EV_CLEAR is untriggered by delivery and keeps its flags and data', () => {
  const { world, kq } = setUp();
  world.must(kq, change(EVFILT_USER, 1, EV_ADD | EV_CLEAR, { fflags: 0x12, data: 34 }));
  for (let round = 0; round < 2; round++) {
    world.must(kq, change(EVFILT_USER, 1, 0, { fflags: NOTE_TRIGGER, data: 34 }));
    expect(world.collect(kq)).toMatchObject([{ fflags: 0x12, data: 34 }]);
    expect(world.collect(kq)).toEqual([]);
  }
  world.must(kq, change(EVFILT_USER, 1, EV_DISABLE), change(EVFILT_USER, 1, EV_ENABLE));
  expect(world.collect(kq)).toEqual([]);
});

test('K97: a level-triggered USER event repeats until it is cleared', () => {
  const { world, kq } = setUp();
  world.must(kq, change(EVFILT_USER, 1, EV_ADD, { fflags: NOTE_TRIGGER }));
  for (let round = 0; round < 3; round++) expect(world.idents(kq)).toEqual([1]);
  world.must(kq, change(EVFILT_USER, 1, EV_CLEAR));
  expect(world.collect(kq)).toEqual([]);
});

test('K98: the creating EV_ADD stores only the low 24 bits of fflags', () => {
  const { world, kq } = setUp();
  world.must(kq, change(EVFILT_USER, 1, EV_ADD, { fflags: (NOTE_FFCOPY | 5) >>> 0 }));
  world.must(kq, change(EVFILT_USER, 1, 0, { fflags: NOTE_TRIGGER }));
  expect(world.collect(kq)).toMatchObject([{ fflags: 5 }]);
});

test('K99: control and trigger bits of a modification do not show in events', () => {
  const { world, kq } = setUp();
  world.must(kq, change(EVFILT_USER, 1));
  world.must(kq, change(EVFILT_USER, 1, 0, { fflags: (NOTE_FFOR | NOTE_TRIGGER | 1) >>> 0 }));
  expect(world.collect(kq)).toMatchObject([{ fflags: 1 }]);
});
