import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { TextQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { openEndsNonBlocking } from '../support/pipe-ends.ts';

const NOBODY = 65534;

describeMount('pipes watched by kqueues', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  beforeAll(async () => {
    mount = await TestMount.start(['--pipe-buf', '512']);
    [a, b] = await Promise.all([mount.driver(), mount.driver()]);
  });
  afterAll(() => mount.stop());

  function event(filter: string, ident: string, data: number, flags = '-'): string {
    return `${filter} ${ident} data=${data} flags=${flags} fflags=0 udata=-`;
  }

  /** A pair whose ends are open, 0 in `a` and 1 in `b`. */
  async function pair(name: string): Promise<readonly [number, number]> {
    await mount.output(`mkdir pairs/${name}`);
    return [await a.open(`pairs/${name}/0`, 'rwn'), await b.open(`pairs/${name}/1`, 'rwn')];
  }

  test('P93: READ of a descriptor that only writes, and WRITE of one that only reads, never fire', async () => {
    const { reader, writer } = await openEndsNonBlocking(a, a, await mount.fifo('modes'));
    const queue = await TextQueue.open(a);
    expect(await queue.after(`add read fd:${writer}`, `add write fd:${reader}`)).toEqual([]);
    await a.write(writer, 'data');
    expect(await queue.take()).toEqual([]);
    await a.read(reader, 10);
    expect(await queue.take()).toEqual([]);
    expect(await queue.after(`delete read fd:${writer}`, `delete write fd:${reader}`)).toEqual([]);
  });

  test('P94, P95: at a pair whose other end is closed WRITE is EPIPE and READ is at end-of-file', async () => {
    const [mine, theirs] = await pair('half');
    await b.close(theirs);
    const queue = await TextQueue.open(a);
    expect(await queue.after(`add write fd:${mine}`)).toEqual([`error write fd:${mine} errno=EPIPE udata=-`]);
    expect(await queue.after(`add read fd:${mine}`)).toEqual([event('read', `fd:${mine}`, 0, 'eof')]);
  });

  test('P96, K117: other filters are EINVAL at a pair, and EOPNOTSUPP at a named pipe', async () => {
    const [mine] = await pair('except');
    const path = await mount.fifo('except');
    const queue = await TextQueue.open(a);
    expect(
      await queue.after(`add except fd:${mine}`, `add except ${path}`, `add vnode ${path} write`),
    ).toEqual([
      `error except fd:${mine} errno=EINVAL udata=-`,
      `error except ${path} errno=EOPNOTSUPP udata=-`,
    ]);
  });

  test('P97: READ has the number of bytes, by descriptor and by path', async () => {
    const path = await mount.fifo('count');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    const queue = await TextQueue.open(a);
    expect(await queue.after(`add read fd:${reader}`, `add read ${path}`)).toEqual([]);
    await b.write(writer, '1234567');
    expect((await queue.take()).sort()).toEqual([event('read', `fd:${reader}`, 7), event('read', path, 7)]);
    await a.read(reader, 7);
    expect(await queue.take()).toEqual([]);
  });

  test('P98: end-of-file is told with the bytes that are left, and lifted by a new writer', async () => {
    const path = await mount.fifo('eof');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    const queue = await TextQueue.open(a);
    await queue.change(`add read fd:${reader}`);
    await b.write(writer, 'abc');
    await b.close(writer);
    expect(await queue.take()).toEqual([event('read', `fd:${reader}`, 3, 'eof')]);
    const again = await b.open(path, 'wn');
    expect(await queue.take()).toEqual([event('read', `fd:${reader}`, 3)]);
    await a.read(reader, 3);
    expect(await queue.take()).toEqual([]);
    await b.close(again);
    expect(await queue.take()).toEqual([event('read', `fd:${reader}`, 0, 'eof')]);
  });

  test('P99: WRITE has the room, and fires from 512 bytes on', async () => {
    const path = await mount.fifo('room');
    const { reader, writer } = await openEndsNonBlocking(a, a, path);
    const queue = await TextQueue.open(a);
    expect(await queue.after(`add write fd:${writer}`)).toEqual([event('write', `fd:${writer}`, 16384)]);
    expect((await a.writePattern(writer, 65536)).result).toBe(65536);
    expect(await queue.take()).toEqual([]);
    await a.read(reader, 511);
    expect(await queue.take()).toEqual([]);
    await a.read(reader, 1);
    expect(await queue.take()).toEqual([event('write', `fd:${writer}`, 512)]);
  });

  test('P100: WRITE is at end-of-file when the last reader has left', async () => {
    const path = await mount.fifo('no-reader');
    const { reader, writer } = await openEndsNonBlocking(b, a, path);
    await a.writePattern(writer, 65536);
    const queue = await TextQueue.open(a);
    expect(await queue.after(`add write fd:${writer}`, `add write ${path}`)).toEqual([]);
    await b.close(reader);
    const lines = await queue.take();
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/ flags=eof /);
  });

  test('P101: what one side does fires the knote of the other', async () => {
    const [mine, theirs] = await pair('sides');
    const queue = await TextQueue.open(a);
    const written = (await a.writePattern(mine, 65536)).result;
    expect(await queue.after(`add write fd:${mine} clear`, `add read fd:${mine} clear`)).toEqual([]);
    await b.read(theirs, written);
    expect((await queue.take())[0]).toMatch(/^write /);
    await b.write(theirs, 'back');
    expect(await queue.take()).toEqual([event('read', `fd:${mine}`, 4, 'clear')]);
  });

  test("P102: when an end closes, the other one's WRITE knote fires once with end-of-file and is gone", async () => {
    const [mine, theirs] = await pair('closing');
    await a.writePattern(mine, 65536);
    const queue = await TextQueue.open(a);
    expect(await queue.after(`add write fd:${mine}`)).toEqual([]);
    await b.close(theirs);
    expect((await queue.take())[0]).toMatch(/^write .* flags=eof(,oneshot)? /);
    expect(await queue.take()).toEqual([]);
    expect(await queue.after(`delete write fd:${mine}`)).toEqual([
      `error write fd:${mine} errno=ENOENT udata=-`,
    ]);
  });

  test('P138: low-water marks and data are ignored', async () => {
    const path = await mount.fifo('low-water');
    const fd = await a.open(path, 'rwn');
    const queue = await TextQueue.open(a);
    await queue.change(`add read fd:${fd} fflags=0x1 data=100`);
    await a.write(fd, 'x');
    expect(await queue.take()).toEqual([event('read', `fd:${fd}`, 1)]);
  });

  test('K118: a path watches without opening: nobody is counted, and a pipe that nobody has open can be watched', async () => {
    const path = await mount.fifo('unopened');
    const queue = await TextQueue.open(a);
    expect(await queue.after(`add read ${path}`, `add write ${path}`)).toEqual([]);
    const writer = mount.start(`echo hello > ${path}`);
    await mount.untilBlocked(path, 'fifoow');
    expect(await queue.take()).toEqual([event('read', path, 0)]);
    expect(await mount.blockedCount(path, 'fifoow')).toBe(1);
    const reader = await a.open(path, 'rn');
    await writer.finished();
    const lines = await queue.take();
    expect(lines).toContain(event('read', path, 6, 'eof'));
    await a.close(reader);
  });

  test('K118: another user needs the permission to read or write what is watched', async () => {
    await mount.output(
      'mkfifo -m 600 pipes/private; mkfifo -m 644 pipes/readable; mkdir -m 700 pipes/closed; mkfifo pipes/closed/a',
    );
    const nobody = await mount.driver({ uid: NOBODY, gid: NOBODY });
    const queue = await TextQueue.open(nobody);
    expect(
      await queue.after(
        'add read pipes/private',
        'add vnode pipes/private attrib',
        'add read pipes/readable',
        'add write pipes/readable',
        'add read pipes/closed/a',
      ),
    ).toEqual([
      'error read pipes/private errno=EACCES udata=-',
      'error vnode pipes/private errno=EACCES udata=-',
      'error write pipes/readable errno=EACCES udata=-',
      'error read pipes/closed/a errno=EACCES udata=-',
    ]);
  });

  test('K39: a path that names something new makes a new knote when it is added again', async () => {
    const path = await mount.fifo('remade');
    const old = await a.open(path, 'rwn');
    const queue = await TextQueue.open(a);
    await queue.change(`add read ${path} udata=old`);
    await mount.output(`rm ${path}; mkfifo ${path}`);
    const remade = await a.open(path, 'rwn');
    await a.write(remade, 'new');
    expect(await queue.take()).toEqual([]);
    await a.write(old, '1');
    expect(await queue.take()).toEqual([`read ${path} data=1 flags=- fflags=0 udata=old`]);
    expect(await queue.after(`add read ${path} udata=new`)).toEqual([
      `read ${path} data=3 flags=- fflags=0 udata=new`,
    ]);
    await mount.output(`rm ${path}`);
    expect(await queue.after(`delete read ${path}`)).toEqual([]);
    expect(await queue.take()).toEqual([]);
  });

  test('a watch by path sees a writer that waits for a reader, and a reader that waits for a writer', async () => {
    const script = (open: string) =>
      `exec 3<>kqueue; ${open}
      read -r event <&3; echo "$event"`;
    const path = await mount.fifo('waits');
    const writing = mount.start(`echo hi > ${path}`);
    const watchWriter = mount.start(script(`echo 'add read ${path}' >&3`), { timeoutMs: 10_000 });
    expect((await watchWriter.finished()).stdout).toBe(`${event('read', path, 0)}\n`);
    expect(await mount.output(`cat ${path}`)).toBe('hi\n');
    await writing.finished();
    // Who watches before anybody comes hears of it too.
    for (const [filter, come, data] of [
      ['read', `echo ho > ${path}`, 0],
      ['write', `cat ${path}`, 16384],
    ] as const) {
      const watch = mount.start(script(`echo 'add ${filter} ${path}' >&3`), { timeoutMs: 10_000 });
      await mount.output(`until grep -q '${filter} *${path}' info/knotes; do sleep 0.01; done`);
      mount.start(come);
      expect((await watch.finished()).stdout).toBe(`${event(filter, path, data)}\n`);
      await mount.output(filter === 'read' ? `cat ${path}` : `echo end > ${path}`);
    }
  });

  test('K118: symbolic links on the way and at the end are followed, loops are ELOOP', async () => {
    await mount.output(
      'mkdir pipes/real; mkfifo pipes/real/a; ln -s real pipes/way; ln -s real/a pipes/end; ln -s loop pipes/loop',
    );
    const fd = await a.open('pipes/real/a', 'rwn');
    await a.write(fd, 'xy');
    const queue = await TextQueue.open(a);
    for (const path of ['pipes/way/a', 'pipes/end', '/pipes/./real/../way/a', 'pipes//real/a']) {
      expect(await queue.after(`add read ${path} oneshot`)).toEqual([event('read', path, 2, 'oneshot')]);
    }
    expect(await queue.after('add read pipes/loop')).toEqual(['error read pipes/loop errno=ELOOP udata=-']);
  });

  test('[SEC-15] links that lead through links are counted together: 40 are followed, and no more', async () => {
    // Each leads through the one before a thousand times: a walk of a billion steps.
    await mount.output(
      `cd pipes; target=.; for n in 0 1 2 3; do ln -s "$target" s$n; target=$(printf "s$n/%.0s" {1..1000}); done
      ln -s . here; mkfifo once`,
    );
    const queue = await TextQueue.open(a);
    expect(await queue.after('add vnode pipes/s3 write')).toEqual([
      'error vnode pipes/s3 errno=ELOOP udata=-',
    ]);
    const through = (links: number): string => `pipes/${'here/'.repeat(links)}once`;
    expect(await queue.after(`add vnode ${through(40)} delete`)).toEqual([]);
    expect(await queue.after(`add vnode ${through(41)} delete`)).toEqual([
      `error vnode ${through(41)} errno=ELOOP udata=-`,
    ]);
  });
});
