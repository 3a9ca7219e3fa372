import { expect, test } from 'vitest';

import { File, FREAD } from '../../src/kern/file.ts';
import { EVFILT_READ, Klist } from '../../src/kern/klist.ts';
import { anonymousPipeOps } from '../../src/pipe/anonymous.ts';
import { TestKnote, user } from '../support/engine.ts';

/** A list of active knotes, in order of registration, and the order in which they are told. */
function listOf(count: number): { list: Klist; knotes: TestKnote[]; told: number[] } {
  const list = new Klist();
  const told: number[] = [];
  const knotes = Array.from({ length: count }, (_, index) => {
    const knote = new TestKnote(new File(FREAD, anonymousPipeOps, user), EVFILT_READ);
    knote.filterOps = {
      detach: () => undefined,
      event: () => {
        told.push(index);
        return true;
      },
    };
    list.add(knote);
    return knote;
  });
  return { list, knotes, told };
}

test('K68: the newest knote is told first', () => {
  const { list, told } = listOf(4);
  list.notify(0);
  expect(told).toEqual([3, 2, 1, 0]);
});

test('K68: knotes that leave meanwhile are not told, those around them are', () => {
  const { list, knotes, told } = listOf(6);
  knotes[4]!.activate = () => {
    for (const gone of [3, 4, 2, 5]) list.remove(knotes[gone]!);
  };
  list.notify(0);
  expect(told).toEqual([5, 4, 1, 0]);
  expect(list.size).toBe(2);
});

test('K68: a knote that comes meanwhile is told the next time', () => {
  const { list, knotes, told } = listOf(3);
  list.remove(knotes[1]!);
  knotes[2]!.activate = () => {
    list.add(knotes[1]!);
  };
  list.notify(0);
  expect(told).toEqual([2, 0]);
  list.notify(0);
  expect(told).toEqual([2, 0, 1, 2, 0]);
});

test('K68: a notification within a notification takes knotes out of both', () => {
  const { list, knotes, told } = listOf(3);
  let isInner = false;
  knotes[2]!.activate = () => {
    if (isInner) return;
    isInner = true;
    list.notify(0);
  };
  knotes[1]!.activate = () => {
    list.remove(knotes[0]!);
    list.remove(knotes[1]!);
  };
  list.notify(0);
  expect(told).toEqual([2, 2, 1]);
});

test('K68: clearing lets every knote go, once, newest first', () => {
  const { list, knotes, told } = listOf(3);
  knotes[2]!.activate = () => {
    list.remove(knotes[1]!);
  };
  list.clear();
  expect(told).toEqual([2, 0]);
  expect(list.size).toBe(0);
  expect(knotes.map((knote) => knote.klist)).toEqual([null, null, null]);
});
