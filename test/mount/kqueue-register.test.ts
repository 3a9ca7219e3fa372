import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { TextQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';

describeMount('registrations through the text form', () => {
  let mount: TestMount;
  let a: Driver;
  let queue: TextQueue;
  beforeAll(async () => {
    mount = await TestMount.start();
    a = await mount.driver();
    queue = await TextQueue.open(a);
  });
  afterAll(() => mount.stop());

  /** A pipe that nobody else touches, with bytes in it. */
  async function holding(name: string, text = 'five!'): Promise<{ path: string; fd: number }> {
    const path = await mount.fifo(name);
    const fd = await a.open(path, 'rwn');
    if (text !== '') await a.write(fd, text);
    return { path, fd };
  }

  test('K15: a change that fails is an error line, and the next one is applied', async () => {
    expect(await queue.after('delete user 5 udata=gone', 'add user 1 oneshot trigger')).toEqual([
      'error user 5 errno=ENOENT udata=gone',
    ]);
    expect(await queue.take()).toEqual(['user 1 data=0 flags=oneshot fflags=0 udata=-']);
  });

  test('K16, K17: a receipt is an error line with errno 0, and events come in the next read', async () => {
    await queue.change('add user 2 oneshot trigger');
    expect(await queue.after('add user 3 receipt udata=r')).toEqual(['error user 3 errno=0 udata=r']);
    expect(await queue.take()).toEqual(['user 2 data=0 flags=oneshot fflags=0 udata=-']);
    expect(await queue.after('delete user 3 receipt')).toEqual(['error user 3 errno=0 udata=-']);
  });

  test('K40: enable, disable, modify and delete of what is not registered are ENOENT', async () => {
    const { path } = await holding('enoent');
    for (const verb of ['enable', 'disable', 'modify', 'delete']) {
      for (const ident of ['user 9', 'timer 9', `read ${path}`, `vnode ${path}`]) {
        expect(await queue.after(`${verb} ${ident}`)).toEqual([`error ${ident} errno=ENOENT udata=-`]);
      }
    }
  });

  test('K38: a descriptor that is not open, or cannot be watched, is refused before anything else', async () => {
    const { result: foreign } = await a.call({ call: 'open', path: '/dev/null', flags: 0 });
    for (const filter of ['read', 'write', 'vnode', 'except']) {
      expect(await queue.after(`delete ${filter} fd:999`)).toEqual([
        `error ${filter} fd:999 errno=EBADF udata=- it is not open`,
      ]);
      expect(await queue.after(`delete ${filter} fd:${foreign}`)).toEqual([
        expect.stringMatching(/errno=(EBADF|EOPNOTSUPP) udata=- ./),
      ]);
    }
  });

  test('K57: a descriptor number beyond 31 bits is EBADF', async () => {
    const { fd } = await holding('wide');
    for (const wide of ['4294967296', '9223372036854775808', String(2 ** 32 + fd)]) {
      expect(await queue.after(`add read fd:${wide}`)).toEqual([`error read fd:${wide} errno=EBADF udata=-`]);
    }
  });

  test('K39: one knote for a filter and an ident, and one of its own for each descriptor', async () => {
    const { fd, path } = await holding('one');
    const { result: copy } = await a.call({ call: 'dup', fd });
    const lines = await queue.after(
      `add read fd:${fd} udata=first`,
      `add read fd:${fd} udata=second`,
      `add write fd:${fd}`,
      `add read fd:${copy} udata=copy`,
      `add read ${path} udata=path`,
    );
    expect(lines.map((line) => line.replace(/data=\d+ /, ''))).toEqual([
      `read fd:${fd} flags=- fflags=0 udata=second`,
      `write fd:${fd} flags=- fflags=0 udata=-`,
      `read fd:${copy} flags=- fflags=0 udata=copy`,
      `read ${path} flags=- fflags=0 udata=path`,
    ]);
    expect(
      await queue.after(
        ...[fd, copy].map((n) => `delete read fd:${n}`),
        `delete read ${path}`,
        `delete write fd:${fd}`,
      ),
    ).toEqual([]);
  });

  test('K42, K112: AIO is always ENXIO, and leaves nothing behind', async () => {
    expect(await queue.after('add aio 1', 'delete aio 1')).toEqual([
      'error aio 1 errno=ENXIO udata=-',
      'error aio 1 errno=ENOENT udata=-',
    ]);
  });

  test('K43, K66: what is ready is reported at once, and by every read while it is', async () => {
    const { path, fd } = await holding('level');
    const line = `read ${path} data=5 flags=- fflags=0 udata=-`;
    expect(await queue.after(`add read ${path}`)).toEqual([line]);
    expect(await queue.take()).toEqual([line]);
    await a.read(fd, 5);
    expect(await queue.take()).toEqual([]);
    await queue.change(`delete read ${path}`);
  });

  test('K44: a change of a READ knote replaces its udata', async () => {
    const { path } = await holding('replace');
    await queue.change(`add read ${path} udata=U`, `disable read ${path}`);
    expect(await queue.after(`enable read ${path}`)).toEqual([
      `read ${path} data=5 flags=- fflags=0 udata=-`,
    ]);
    expect(await queue.after(`modify read ${path} udata=V`)).toEqual([
      `read ${path} data=5 flags=- fflags=0 udata=V`,
    ]);
    await queue.change(`delete read ${path}`);
  });

  test('K45: oneshot, clear and dispatch are fixed by the first add', async () => {
    const { path } = await holding('fixed');
    const line = `read ${path} data=5 flags=- fflags=0 udata=-`;
    for (const flag of ['oneshot', 'clear', 'dispatch']) {
      expect(await queue.after(`add read ${path}`)).toEqual([line]);
      expect(await queue.after(`add read ${path} ${flag}`)).toEqual([line]);
      expect(await queue.take()).toEqual([line]);
      await queue.change(`delete read ${path}`);
    }
  });

  test('K48: delete takes a pending event along', async () => {
    const { path } = await holding('delete');
    expect(await queue.after(`add read ${path}`, `delete read ${path} clear enable`)).toEqual([]);
    expect(await queue.after(`delete read ${path}`)).toEqual([`error read ${path} errno=ENOENT udata=-`]);
  });

  test('K49, K59: a pending knote that is disabled counts until a read meets it', async () => {
    await mount.output('touch kqueues/disabled');
    const named = await TextQueue.open(a, 'kqueues/disabled');
    const { path } = await holding('disabled');
    await named.change(`add read ${path} disable`);
    expect(await mount.output('stat -c %s kqueues/disabled')).toBe('1\n');
    expect(await named.take()).toEqual([]);
    expect(await mount.output('stat -c %s kqueues/disabled')).toBe('0\n');
    expect(await named.after(`enable read ${path}`)).toHaveLength(1);
  });

  test('K50: enable queues a knote whose condition has come true meanwhile', async () => {
    const { path, fd } = await holding('enable', '');
    await queue.change(`add read ${path} disable`);
    await a.write(fd, 'x');
    expect(await queue.take()).toEqual([]);
    expect(await queue.after(`enable read ${path}`)).toEqual([
      `read ${path} data=1 flags=- fflags=0 udata=-`,
    ]);
    await queue.change(`delete read ${path}`);
  });

  test('K51, K52: both disable and enable leave it enabled, and add alone does not enable', async () => {
    const { path } = await holding('both');
    expect(await queue.after(`add read ${path} disable enable`)).toHaveLength(1);
    expect(await queue.after(`disable read ${path}`, `add read ${path}`)).toEqual([]);
    expect(await queue.after(`enable read ${path}`)).toHaveLength(1);
    expect(await queue.after(`disable read ${path} enable`)).toHaveLength(1);
    await queue.change(`delete read ${path}`);
  });

  test('K54, K55: closing a descriptor silently removes its knotes, pending ones too', async () => {
    await mount.output('touch kqueues/closing');
    const named = await TextQueue.open(a, 'kqueues/closing');
    const { fd } = await holding('closing');
    await named.change(`add read fd:${fd}`, `add write fd:${fd}`, `add vnode fd:${fd} write`);
    expect(await mount.output('stat -c %s kqueues/closing')).toBe('2\n');
    await a.close(fd);
    expect(await named.take()).toEqual([]);
    expect(await mount.output('stat -c %s kqueues/closing')).toBe('0\n');
    expect(await named.after(`delete read fd:${fd}`)).toEqual([
      `error read fd:${fd} errno=EBADF udata=- it is not open`,
    ]);
  });

  test('K56: closing a duplicate leaves the knote of the other number', async () => {
    const { fd } = await holding('duplicate');
    const { result: copy } = await a.call({ call: 'dup', fd });
    await queue.change(`add read fd:${fd}`);
    await a.close(copy);
    expect(await queue.take()).toEqual([`read fd:${fd} data=5 flags=- fflags=0 udata=-`]);
    await queue.change(`delete read fd:${fd}`);
  });

  test('K125: a descriptor is one of the process that writes the change', async () => {
    await mount.output('touch kqueues/shared; chmod 666 kqueues/shared');
    const b = await mount.driver();
    const { fd } = await holding('theirs');
    let other = await b.open(await mount.fifo('ours'), 'rwn');
    while (other < fd) other = await b.open('pipes/ours', 'rwn');
    expect(other).toBe(fd);
    await b.write(other, '12');
    const mine = await TextQueue.open(a, 'kqueues/shared');
    const theirs = await TextQueue.open(b, 'kqueues/shared');
    expect(await mine.after(`add read fd:${fd} oneshot udata=a`)).toEqual([
      `read fd:${fd} data=5 flags=oneshot fflags=0 udata=a`,
    ]);
    expect(await theirs.after(`add read fd:${fd} oneshot udata=b`)).toEqual([
      `read fd:${fd} data=2 flags=oneshot fflags=0 udata=b`,
    ]);
  });

  test('K126: changes of one knote in one write are applied in turn', async () => {
    const { path } = await holding('turns');
    expect(await queue.after(`add read ${path}`, `delete read ${path}`, `add read ${path} clear`)).toEqual([
      `read ${path} data=5 flags=clear fflags=0 udata=-`,
    ]);
    expect(await queue.take()).toEqual([]);
    await queue.change(`delete read ${path}`);
  });

  test("P96, K117, K118: what a filter cannot watch is refused with the object's own error", async () => {
    const { path, fd } = await holding('refused');
    await mount.output('mkdir -p pairs/refused; touch kqueues/refused');
    expect(
      await queue.after(
        `add except ${path}`,
        `add except fd:${fd}`,
        'add except pairs/refused/0',
        'add vnode pairs/refused/0 write',
        'add read pipes',
        'add write kqueues/refused',
        'add read pipes/none',
        `add read ${path}/below`,
      ),
    ).toEqual([
      `error except ${path} errno=EOPNOTSUPP udata=-`,
      `error except fd:${fd} errno=EOPNOTSUPP udata=-`,
      'error except pairs/refused/0 errno=EINVAL udata=-',
      'error vnode pairs/refused/0 errno=EINVAL udata=-',
      'error read pipes errno=EOPNOTSUPP udata=-',
      'error write kqueues/refused errno=EOPNOTSUPP udata=-',
      'error read pipes/none errno=ENOENT udata=-',
      `error read ${path}/below errno=ENOTDIR udata=-`,
    ]);
  });
});
