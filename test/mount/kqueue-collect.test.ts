import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { EV_ADD, EV_CLEAR, EVFILT_USER, NOTE_TRIGGER } from '../support/kevent-records.ts';
import { BinaryQueue, TextQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';

describeMount('taking events from a kqueue', () => {
  let mount: TestMount;
  let a: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    a = await mount.driver();
  });
  afterAll(() => mount.stop());

  async function holding(name: string, text = 'five!'): Promise<{ path: string; fd: number }> {
    const path = await mount.fifo(name);
    const fd = await a.open(path, 'rwn');
    if (text !== '') await a.write(fd, text);
    return { path, fd };
  }

  function triggered(count: number, flags = EV_ADD) {
    return Array.from({ length: count }, (_, ident) => ({
      ident,
      filter: EVFILT_USER,
      flags,
      fflags: NOTE_TRIGGER,
    }));
  }

  function identsOf(lines: readonly string[]): string[] {
    return lines.map((line) => line.split(' ')[1]!);
  }

  test('K31, K33, K34: a read gives each of ten ready knotes once, and waits for no more', async () => {
    const queue = await BinaryQueue.open(a, 'rw');
    await queue.change(...triggered(10));
    expect(await queue.idents(20)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await queue.idents(100)).toHaveLength(10);
  });

  test('K32: short reads go round', async () => {
    const queue = await BinaryQueue.open(a);
    await queue.change(...triggered(10));
    expect(await queue.idents(4)).toEqual([0, 1, 2, 3]);
    expect(await queue.idents(4)).toEqual([4, 5, 6, 7]);
    expect(await queue.idents(4)).toEqual([8, 9, 0, 1]);
  });

  test('K32: short reads of lines go round too, and hold whole lines only', async () => {
    const queue = await TextQueue.open(a);
    await queue.change(...[1, 2, 3, 4, 5].map((ident) => `add user ${ident} trigger`));
    const bytes = 'user 1 data=0 flags=- fflags=0 udata=-\n'.length;
    expect(identsOf(await queue.take(2 * bytes + bytes - 1))).toEqual(['1', '2']);
    expect(identsOf(await queue.take(2 * bytes))).toEqual(['3', '4']);
    expect(identsOf(await queue.take(3 * bytes))).toEqual(['5', '1', '2']);
  });

  test('a line is read in pieces by who asks for less, and comes once', async () => {
    const queue = await TextQueue.open(a);
    await queue.change('add user 1 oneshot trigger', 'add user 2 oneshot trigger');
    const line = 'user 1 data=0 flags=oneshot fflags=0 udata=-\n';
    let text = '';
    for (let count = 1; text.length < line.length; count++) {
      const piece = await a.read(queue.fd, Math.min(count, line.length - text.length));
      text += piece.text!;
    }
    expect(text).toBe(line);
    expect(identsOf(await queue.take())).toEqual(['2']);
    expect(await queue.take()).toEqual([]);
  });

  test('K60: an event whose condition is over is not reported', async () => {
    await mount.output('touch kqueues/over');
    const queue = await TextQueue.open(a, 'kqueues/over');
    const { path, fd } = await holding('over', '');
    await queue.change(`add read ${path}`);
    await a.write(fd, 'x');
    await a.read(fd, 1);
    expect(await mount.output('stat -c %s kqueues/over')).toBe('1\n');
    expect(await queue.take()).toEqual([]);
    expect(await mount.output('stat -c %s kqueues/over')).toBe('0\n');
  });

  test('K61, K62: a one-shot event is reported as it was, once', async () => {
    const queue = await TextQueue.open(a);
    const { path, fd } = await holding('oneshot');
    await queue.change(`add read ${path} oneshot`);
    await a.read(fd, 5);
    expect(await queue.take()).toEqual([`read ${path} data=0 flags=oneshot fflags=0 udata=-`]);
    await a.write(fd, 'more');
    expect(await queue.take()).toEqual([]);
    expect(await queue.after(`delete read ${path}`)).toEqual([`error read ${path} errno=ENOENT udata=-`]);
  });

  test('K63: clear reports again only after new activity', async () => {
    const queue = await TextQueue.open(a);
    const { path, fd } = await holding('clear');
    expect(await queue.after(`add read ${path} clear`)).toEqual([
      `read ${path} data=5 flags=clear fflags=0 udata=-`,
    ]);
    expect(await queue.take()).toEqual([]);
    await a.write(fd, '!');
    expect(await queue.take()).toEqual([`read ${path} data=6 flags=clear fflags=0 udata=-`]);
    expect(await queue.take()).toEqual([]);
  });

  test('K64: dispatch reports once until it is enabled, which looks anew', async () => {
    const queue = await TextQueue.open(a);
    const { path, fd } = await holding('dispatch');
    const line = `read ${path} data=5 flags=dispatch fflags=0 udata=-`;
    expect(await queue.after(`add read ${path} dispatch`)).toEqual([line]);
    await a.write(fd, 'x');
    expect(await queue.take()).toEqual([]);
    await a.read(fd, 1);
    expect(await queue.after(`enable read ${path}`)).toEqual([line]);
    await a.read(fd, 5);
    expect(await queue.after(`enable read ${path}`)).toEqual([]);
  });

  test('K65: oneshot comes before dispatch, and clear goes with dispatch', async () => {
    const queue = await TextQueue.open(a);
    const { path } = await holding('mixed');
    expect(await queue.after(`add read ${path} oneshot dispatch`)).toEqual([
      `read ${path} data=5 flags=dispatch,oneshot fflags=0 udata=-`,
    ]);
    expect(await queue.after(`enable read ${path}`)).toEqual([`error read ${path} errno=ENOENT udata=-`]);
    const line = `read ${path} data=5 flags=clear,dispatch fflags=0 udata=-`;
    expect(await queue.after(`add read ${path} clear dispatch`)).toEqual([line]);
    expect(await queue.take()).toEqual([]);
    expect(await queue.after(`enable read ${path}`)).toEqual([line]);
  });

  test('K67: events come in the order in which they happened', async () => {
    const queue = await TextQueue.open(a);
    await queue.change('add user 1 clear', 'add user 2 clear', 'add user 3 clear');
    const lines = await queue.after(
      'modify user 3 trigger',
      'modify user 1 trigger',
      'modify user 2 trigger',
    );
    expect(identsOf(lines)).toEqual(['3', '1', '2']);
  });

  test('K68: one activity queues the newest registration first', async () => {
    const queue = await TextQueue.open(a);
    const { fd } = await holding('newest', '');
    const copies = [fd];
    while (copies.length < 3) copies.push((await a.call({ call: 'dup', fd })).result);
    await queue.change(...copies.map((copy) => `add read fd:${copy}`));
    await a.write(fd, 'x');
    expect(identsOf(await queue.take())).toEqual(copies.map((copy) => `fd:${copy}`).reverse());
  });

  test('K128: the size of a named queue is the number of pending events', async () => {
    await mount.output('touch kqueues/count');
    const queue = await TextQueue.open(a, 'kqueues/count');
    const size = async () => Number(await mount.output('stat -c %s kqueues/count'));
    for (let ident = 1; ident <= 5; ident++) {
      await queue.change(`add user ${ident} clear trigger`);
      expect(await size()).toBe(ident);
    }
    await queue.change('delete user 2');
    expect(await size()).toBe(4);
    await queue.take(60);
    expect(await size()).toBe(3);
    await queue.take();
    expect(await size()).toBe(0);
  });

  test('K63, K67: a thousand clear events can be taken one by one', async () => {
    const queue = await BinaryQueue.open(a);
    await queue.change(...triggered(1000, EV_ADD | EV_CLEAR));
    const seen: number[] = [];
    for (;;) {
      const idents = await queue.idents(7);
      if (idents.length === 0) break;
      seen.push(...idents);
    }
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, ident) => ident));
  });
});
