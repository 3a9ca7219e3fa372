import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { TextQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';

describeMount('user events of a kqueue', () => {
  let mount: TestMount;
  let a: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    a = await mount.driver();
  });
  afterAll(() => mount.stop());

  function event(ident: number, data = 0, flags = '-', fflags = '0', udata = '-'): string {
    return `user ${ident} data=${data} flags=${flags} fflags=${fflags} udata=${udata}`;
  }

  test('K41, K88, K90: any ident can be registered, and fires when it is triggered', async () => {
    const queue = await TextQueue.open(a);
    for (const ident of [0, 1, 4711, 2 ** 53 - 1]) {
      expect(await queue.after(`add user ${ident} clear`)).toEqual([]);
      expect(await queue.after(`modify user ${ident} trigger`)).toEqual([event(ident, 0, 'clear')]);
    }
    expect(await queue.after('add user 18446744073709551615 oneshot trigger')).toEqual([
      'user 18446744073709551615 data=0 flags=oneshot fflags=0 udata=-',
    ]);
  });

  test('K89: a trigger in the change that registers counts', async () => {
    const queue = await TextQueue.open(a);
    expect(await queue.after('add user 1 oneshot trigger udata=now')).toEqual([
      event(1, 0, 'oneshot', '0', 'now'),
    ]);
  });

  test('K91: flags are copied, ored, anded or kept', async () => {
    const queue = await TextQueue.open(a);
    const touch = async (operation: string) =>
      (await queue.after(`modify user 1 trigger ${operation}`))[0]?.split(' ')[4];
    await queue.change('add user 1 clear');
    expect(await touch('ffcopy=0xf0')).toBe('fflags=0xf0');
    expect(await touch('ffor=0x0f')).toBe('fflags=0xff');
    expect(await touch('ffand=0x3c')).toBe('fflags=0x3c');
    expect(await touch('fflags=0x77')).toBe('fflags=0x3c');
    expect(await touch('ffcopy=0xffffff')).toBe('fflags=0xffffff');
    expect(await touch('ffand=0')).toBe('fflags=0');
  });

  test('K92, K95: each modification replaces the data, and events show data and flags as stored', async () => {
    const queue = await TextQueue.open(a);
    expect(await queue.after('add user 1 clear data=9 trigger')).toEqual([event(1, 9, 'clear')]);
    expect(await queue.after('modify user 1 trigger')).toEqual([event(1, 0, 'clear')]);
    expect(await queue.after('modify user 1 trigger data=-34 ffcopy=0x12')).toEqual([
      event(1, -34, 'clear', '0x12'),
    ]);
    expect(await queue.after('enable user 1', 'modify user 1 trigger')).toEqual([
      event(1, 0, 'clear', '0x12'),
    ]);
  });

  test('K93: the udata of the first change stays', async () => {
    const queue = await TextQueue.open(a);
    expect(await queue.after('add user 1 udata=U', 'modify user 1 trigger udata=V')).toEqual([
      event(1, 0, '-', '0', 'U'),
    ]);
  });

  test('K94: clear in a modification takes the trigger back, its own too', async () => {
    const queue = await TextQueue.open(a);
    expect(await queue.after('add user 1', 'modify user 1 trigger', 'modify user 1 clear')).toEqual([]);
    expect(await queue.after('modify user 1 trigger clear')).toEqual([]);
    expect(await queue.after('modify user 1 trigger')).toEqual([event(1)]);
  });

  test('K96: a knote with clear is triggered once, and keeps flags and data', async () => {
    const queue = await TextQueue.open(a);
    const line = event(1, 5, 'clear', '0x21');
    expect(await queue.after('add user 1 clear', 'modify user 1 trigger data=5 ffcopy=0x21')).toEqual([line]);
    expect(await queue.take()).toEqual([]);
    expect(await queue.after('modify user 1 trigger data=5')).toEqual([line]);
  });

  test('K97: without clear it is reported until the trigger is taken back or the knote deleted', async () => {
    const queue = await TextQueue.open(a);
    await queue.change('add user 1 trigger');
    for (let round = 0; round < 3; round++) expect(await queue.take()).toEqual([event(1)]);
    expect(await queue.after('modify user 1 clear')).toEqual([]);
    expect(await queue.after('modify user 1 trigger')).toEqual([event(1)]);
    expect(await queue.after('delete user 1')).toEqual([]);
  });

  test('K98, K99: control and trigger bits do not come back', async () => {
    const queue = await TextQueue.open(a);
    expect(await queue.after('add user 1 clear trigger fflags=0xc0000005')).toEqual([
      event(1, 0, 'clear', '0x5'),
    ]);
    expect(await queue.after('modify user 1 trigger ffor=0x2')).toEqual([event(1, 0, 'clear', '0x7')]);
    expect(await queue.after('modify user 1 fflags=0xc1000001')).toEqual([event(1, 0, 'clear', '0x1')]);
  });

  test('K53: a trigger of a disabled knote is remembered', async () => {
    const queue = await TextQueue.open(a);
    expect(await queue.after('add user 1 clear', 'disable user 1', 'modify user 1 trigger')).toEqual([]);
    expect(await queue.after('enable user 1')).toEqual([event(1, 0, 'clear')]);
    expect(await queue.take()).toEqual([]);
  });
});
