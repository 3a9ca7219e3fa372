import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { FIOASYNC, FIOGETOWN, FIONREAD, FIOSETOWN, TIOCGPGRP } from '../support/driver-protocol.ts';
import { TextQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { statOf } from '../support/pipe-ends.ts';
import { type Running, until } from '../support/process.ts';

const ENOTTY = -25;
const ESRCH = -3;
const TCGETS = 0x5401;
const GET_HANDLE = 0x80084b01;

describeMount('kqueues as files: nesting, ioctl, stat, tables', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    [a, b] = await Promise.all([mount.driver(), mount.driver()]);
  });
  afterAll(() => mount.stop());

  async function named(name: string): Promise<TextQueue> {
    await mount.output(`touch kqueues/${name}`);
    return TextQueue.open(a, `kqueues/${name}`);
  }

  /** A shell that prints a line for each SIGIO, and for the SIGUSR1 that proves that no SIGIO came before it. */
  async function listener(): Promise<Running> {
    const shell = mount.start(
      "trap 'echo io' IO; trap 'echo mark' USR1; echo ready; while :; do read -r; done",
    );
    await until(() => shell.stdout === 'ready\n');
    return shell;
  }

  async function mark(shell: Running): Promise<void> {
    const seen = shell.stdout.length;
    process.kill(shell.pid, 'SIGUSR1');
    await until(() => shell.stdout.slice(seen).includes('mark\n'));
  }

  test('K6: a kqueue is watched with READ: its pending count, by path and by descriptor', async () => {
    const inner = await named('inner');
    const outer = await TextQueue.open(a);
    expect(await outer.after('add read kqueues/inner', `add read fd:${inner.fd} udata=d`)).toEqual([]);
    await inner.change('add user 1 trigger', 'add user 2 trigger');
    expect((await outer.take()).sort()).toEqual([
      `read fd:${inner.fd} data=2 flags=- fflags=0 udata=d`,
      'read kqueues/inner data=2 flags=- fflags=0 udata=-',
    ]);
    await inner.change('delete user 1', 'delete user 2');
    expect(await outer.take()).toEqual([]);
    expect(await outer.after('add write kqueues/inner', 'add except kqueues/inner')).toEqual([
      'error write kqueues/inner errno=EOPNOTSUPP udata=-',
      'error except kqueues/inner errno=EOPNOTSUPP udata=-',
    ]);
  });

  test('K7: an event in one queue ends a wait in the queue that watches it', async () => {
    const inner = await named('waking');
    const outer = await TextQueue.open(b, 'kqueue');
    await outer.change('add read kqueues/waking');
    await b.setNonBlocking(outer.fd, false);
    const read = b.begin({ call: 'read', fd: outer.fd, count: 1000 });
    await mount.untilBlocked('kqueue', 'kqread');
    await inner.change('add user 1 trigger');
    expect((await read.promise).text).toBe('read kqueues/waking data=1 flags=- fflags=0 udata=-\n');
  });

  test('K120: a queue cannot watch itself, nor can queues watch each other in a ring', async () => {
    const [one, two, three] = [await named('ring1'), await named('ring2'), await named('ring3')];
    expect(await one.after('add read kqueues/ring1', `add read fd:${one.fd}`)).toEqual([
      'error read kqueues/ring1 errno=EINVAL udata=-',
      `error read fd:${one.fd} errno=EINVAL udata=-`,
    ]);
    expect(await one.after('add read kqueues/ring2')).toEqual([]);
    expect(await two.after('add read kqueues/ring3')).toEqual([]);
    expect(await two.after('add read kqueues/ring1')).toEqual([
      'error read kqueues/ring1 errno=EINVAL udata=-',
    ]);
    expect(await three.after('add read kqueues/ring1')).toEqual([
      'error read kqueues/ring1 errno=EINVAL udata=-',
    ]);
    expect(await three.after('add user 1 clear trigger')).toHaveLength(1);
  });

  test('K3: the size of a named queue is what is pending', async () => {
    const queue = await named('size');
    expect((await statOf(a, queue.fd)).size).toBe(0);
    await queue.change('add user 1 clear trigger', 'add user 2 clear trigger');
    expect((await statOf(a, queue.fd)).size).toBe(2);
    expect(await mount.output('stat -c %s kqueues/size')).toBe('2\n');
    await queue.take();
    expect((await statOf(a, queue.fd)).size).toBe(0);
  });

  test('K4: FIOASYNC and FIOSETOWN are known, everything else is ENOTTY', async () => {
    for (const path of ['kqueue', 'kqueue.bin']) {
      const fd = await a.open(path, 'rw');
      for (const request of [FIONREAD, FIOGETOWN, TIOCGPGRP, TCGETS]) {
        expect((await a.ioctl(fd, request)).result).toBe(ENOTTY);
      }
      expect((await a.ioctl(fd, FIOSETOWN, 2 ** 22)).result).toBe(ESRCH);
      expect((await a.ioctl(fd, FIOSETOWN, b.pid)).result).toBe(0);
      expect((await a.ioctl(fd, FIOSETOWN, 0)).result).toBe(0);
      expect((await a.ioctl(fd, FIOASYNC, 0)).result).toBe(0);
      await a.close(fd);
    }
  });

  test('K5: the owner gets SIGIO when the first event becomes pending, and no other', async () => {
    const queue = await TextQueue.open(a);
    const shell = await listener();
    expect((await a.ioctl(queue.fd, FIOASYNC, 1)).result).toBe(0);
    expect((await a.ioctl(queue.fd, FIOSETOWN, shell.pid)).result).toBe(0);
    await queue.change('add user 1 clear trigger');
    await until(() => shell.stdout === 'ready\nio\n');
    await queue.change('add user 2 clear trigger');
    await mark(shell);
    expect(shell.stdout).toBe('ready\nio\nmark\n');
    expect(await queue.take()).toHaveLength(2);
    await queue.change('modify user 2 trigger');
    await until(() => shell.stdout === 'ready\nio\nmark\nio\n');
    await queue.take();
    await a.ioctl(queue.fd, FIOASYNC, 0);
    await queue.change('modify user 2 trigger');
    await mark(shell);
    expect(shell.stdout).toBe('ready\nio\nmark\nio\nmark\n');
  });

  test('K8: closing a queue leaves what it watched working, and nothing behind', async () => {
    const path = await mount.fifo('watched');
    const fd = await a.open(path, 'rwn');
    const before = (await mount.table('kqueues')).length;
    const queue = await TextQueue.open(a);
    await queue.change(
      `add read ${path}`,
      'add timer 1 data=1',
      `add vnode ${path} write`,
      'add read kqueues/size',
    );
    expect(await mount.table('kqueues')).toHaveLength(before + 1);
    await a.write(fd, 'x');
    await queue.close();
    await until(async () => (await mount.table('kqueues')).length === before);
    expect((await a.read(fd, 10)).text).toBe('x');
    await a.write(fd, 'y');
    expect((await a.read(fd, 10)).text).toBe('y');
    expect((await mount.table('knotes')).filter((row) => row['ident'] === path)).toEqual([]);
  });

  test('K1: every open of kqueue is a queue of its own', async () => {
    const [one, two] = [await TextQueue.open(a), await TextQueue.open(a)];
    await one.change('add user 1 trigger');
    expect(await two.take()).toEqual([]);
    expect(await two.after('delete user 1')).toEqual(['error user 1 errno=ENOENT udata=-']);
  });

  test('K11: tunables have their defaults and take any integer', async () => {
    const defaults = { kq_calloutmax: 4096, kq_checkloop: 1_000_000, kq_wakeup_one: 1 };
    for (const [name, value] of Object.entries(defaults)) {
      expect(await mount.sysctl(`kern.${name}`)).toBe(value);
      for (const other of [0, -1, 7, value]) {
        await mount.setSysctl(`kern.${name}`, other);
        expect(await mount.sysctl(`kern.${name}`)).toBe(other);
      }
    }
    const { status } = await mount.sh('echo 1 > sysctl/kern/kq_calloutmax', { uid: 65534, gid: 65534 });
    expect(status).toBe(1);
  });

  test('info/kqueues and info/knotes show queues and registrations', async () => {
    const queue = await named('shown');
    await queue.change(
      'add user 7 clear trigger udata=u',
      'add timer 8 data=1m',
      'add vnode pipes write link disable',
    );
    expect(await mount.output("head -n 1 info/kqueues | tr -s ' '")).toBe(
      'id name pid knotes pending blocked-readers\n',
    );
    expect(await mount.output("head -n 1 info/knotes | tr -s ' '")).toBe(
      'kqueue filter ident flags fflags data status udata\n',
    );
    const row = (await mount.table('kqueues')).find(({ name }) => name === 'kqueues/shown');
    expect(row).toMatchObject({ knotes: 3, pending: 1, 'blocked-readers': 0 });
    const knotes = (await mount.table('knotes')).filter(({ kqueue }) => kqueue === row!['id']);
    expect(knotes).toHaveLength(3);
    expect(knotes).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          filter: 'user',
          ident: '7',
          flags: 'clear',
          status: 'pending',
          udata: 'u',
        }),
        expect.objectContaining({
          filter: 'timer',
          ident: '8',
          flags: 'clear',
          status: 'waiting',
          udata: '-',
        }),
        expect.objectContaining({
          filter: 'vnode',
          ident: 'pipes',
          fflags: 'link,write',
          status: 'disabled',
          udata: '-',
        }),
      ]),
    );
  });

  test('the handle ioctl gives the number that info/handles shows', async () => {
    const queue = await named('handle');
    const { result, text } = await a.call({ call: 'ioctl64', fd: queue.fd, request: GET_HANDLE });
    expect(result).toBe(0);
    const rows = (await mount.table('handles')).filter((row) => String(row['handle']) === text);
    expect(rows).toMatchObject([{ path: 'kqueues/handle', pid: a.pid }]);
    const pipe = await a.open(await mount.fifo('handle'), 'rwn');
    const { text: other } = await a.call({ call: 'ioctl64', fd: pipe, request: GET_HANDLE });
    expect(other).not.toBe(text);
  });
});
