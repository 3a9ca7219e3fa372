import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { EV_ADD, EVFILT_READ } from '../support/kevent-records.ts';
import { BinaryQueue, TextQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

const POLLIN = 0x1;
const EOF_FLAGS = 'flags=eof';

describeMount('descriptors that kqueues watch', () => {
  let mount: TestMount;
  let a: Driver;
  let queue: TextQueue;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());
  afterEach(() => mount.endDrivers());

  async function begin(): Promise<void> {
    a = await mount.driver();
    queue = await TextQueue.open(a);
  }

  /** Two readers of one pipe, of which only the first has had a writer: it is at end-of-file (K96, P87). */
  async function twoReaders(name: string): Promise<{ late: number; early: number }> {
    const path = await mount.fifo(name);
    const early = await a.open(path, 'rn');
    await a.close(await a.open(path, 'wn'));
    const late = await a.open(path, 'rn');
    return { early, late };
  }

  /** A descriptor with five bytes to be read behind it. */
  async function holding(name: string): Promise<number> {
    const fd = await a.open(await mount.fifo(name), 'rwn');
    await a.write(fd, 'five!');
    return fd;
  }

  async function duplicate(fd: number): Promise<number> {
    return (await a.call({ call: 'dup', fd })).result;
  }

  test('K118, K125: of two opens of one pipe by one process, fd:N is the one with that number', async () => {
    await begin();
    const { early, late } = await twoReaders('two');
    expect(await queue.after(`add read fd:${early}`)).toEqual([
      `read fd:${early} data=0 ${EOF_FLAGS} fflags=0 udata=-`,
    ]);
    await queue.change(`delete read fd:${early}`);
    expect(await queue.after(`add read fd:${late}`)).toEqual([]);
  });

  test('K125: the same in records', async () => {
    await begin();
    const records = await BinaryQueue.open(a);
    const { early, late } = await twoReaders('records');
    const add = { filter: EVFILT_READ, flags: EV_ADD };
    expect(await records.after({ ...add, ident: late }, { ...add, ident: early })).toMatchObject([
      { ident: BigInt(early) },
    ]);
  });

  test('K6, K125: of two queues that one process has made, fd:N is the one with that number', async () => {
    await begin();
    const first = await TextQueue.open(a);
    const second = await TextQueue.open(a);
    await queue.change(`add read fd:${first.fd}`, `add read fd:${second.fd}`);
    await first.change('add user 1 trigger');
    expect(await queue.take()).toEqual([`read fd:${first.fd} data=1 flags=- fflags=0 udata=-`]);
  });

  test('K55: closing another open of the same pipe removes nothing', async () => {
    await begin();
    const path = await mount.fifo('other-open');
    const first = await a.open(path, 'rwn');
    const second = await a.open(path, 'rwn');
    await queue.change(`add read fd:${first}`);
    await a.close(second);
    await a.write(first, 'x');
    expect(await queue.take()).toEqual([`read fd:${first} data=1 flags=- fflags=0 udata=-`]);
  });

  test('K55: closing the descriptor removes its knotes, although a duplicate is open', async () => {
    await begin();
    await mount.output('touch kqueues/closed');
    const named = await TextQueue.open(a, 'kqueues/closed');
    const fd = await holding('closed');
    const copy = await duplicate(fd);
    await named.change(`add read fd:${fd}`, `add vnode fd:${fd} write`, `add vnode fd:${copy} write`);
    expect(await a.poll(named.fd, POLLIN)).toBe(POLLIN);
    await a.close(fd);
    expect(await mount.output('stat -c %s kqueues/closed')).toBe('0\n');
    expect(await a.poll(named.fd, POLLIN)).toBe(0);
    expect(await named.take()).toEqual([]);
    const idents = (await mount.table('knotes')).map(({ filter, ident }) => `${filter} ${ident}`);
    expect(idents).toEqual([`vnode fd:${copy}`]);
  });

  test('K55: a read that waits does not get an event of a closed descriptor, but the next one', async () => {
    await begin();
    const fd = await holding('waiting');
    const copy = await duplicate(fd);
    await a.read(fd, 5);
    await queue.change(`add read fd:${fd}`, 'add timer 1 data=300 oneshot');
    await a.close(fd);
    await a.setNonBlocking(queue.fd, false);
    await a.write(copy, 'x');
    expect(await queue.take()).toEqual(['timer 1 data=1 flags=clear,oneshot fflags=0 udata=-']);
  });

  test('K55: a number that has become another file has no knotes of the old one', async () => {
    await begin();
    const fd = await holding('before');
    await duplicate(fd);
    await queue.change(`add read fd:${fd} udata=old`);
    await a.close(fd);
    expect(await holding('after')).toBe(fd);
    expect(await queue.take()).toEqual([]);
    expect(await queue.after(`delete read fd:${fd}`)).toEqual([`error read fd:${fd} errno=ENOENT udata=-`]);
    expect(await queue.after(`add read fd:${fd} udata=new`)).toEqual([
      `read fd:${fd} data=5 flags=- fflags=0 udata=new`,
    ]);
  });

  test('K55: what a child inherits and closes is its own', async () => {
    const script = `exec 3<>kqueue 4<>pipes/inherited; echo 'add read fd:4' >&3
      ( exec 4>&- ); echo x >&4; read -r event <&3; echo "$event"
      sleep 10 3>&- & exec 4>&-; timeout 0.3 cat <&3; echo "then $?"; kill $!`;
    await mount.fifo('inherited');
    expect(await mount.output(script)).toBe('read fd:4 data=2 flags=- fflags=0 udata=-\nthen 124\n');
  });

  test('a command that a shell runs can register a descriptor of the shell, and ends', async () => {
    await mount.fifo('command');
    const script = `exec 3<>kqueue 4<>pipes/command; /bin/echo 'add read fd:4 udata=c' >&3
      echo x >&4; read -r event <&3; echo "$event"`;
    expect(await mount.output(script)).toBe('read fd:4 data=2 flags=- fflags=0 udata=c\n');
  });

  test('K55: the descriptors of a process that ends are closed', async () => {
    await mount.output('mkfifo pipes/ended; touch kqueues/kept');
    const script = `exec 3<>kqueues/kept
      bash -c 'exec 5<>kqueues/kept 4<>pipes/ended; echo "add write fd:4 udata=child" >&5; read -r event <&3; echo "$event"
        sleep 10 3>&- 5>&- >/dev/null 2>&1 & echo $! >&2'
      stat -c %s kqueues/kept`;
    const { stdout, stderr } = await mount.sh(script);
    process.kill(Number(stderr));
    expect(stdout).toBe('write fd:4 data=16384 flags=- fflags=0 udata=child\n0\n');
  });

  test('K125: a caller in another mount namespace, or through a bind mount, has its descriptors', async () => {
    await mount.output('mkfifo pipes/elsewhere');
    const script = `other=$(mktemp -d); mount --bind "$PWD" "$other"; cd "$other"
      exec 3<>kqueue 4<>pipes/elsewhere; echo 'add write fd:4' >&3; read -r event <&3; echo "$event"
      exec 3>&- 4>&-; cd /; umount "$other"; rmdir "$other"`;
    const { stdout, stderr } = await mount.sh(`unshare -m bash << 'END'\n${script}\nEND`);
    expect({ stdout, stderr }).toEqual({
      stdout: 'write fd:4 data=16384 flags=- fflags=0 udata=-\n',
      stderr: '',
    });
  });

  test('K38: a descriptor of another mount, and one without access are EBADF, and the line says why', async () => {
    await begin();
    const other = await TestMount.start();
    try {
      const O_PATH = 0o10000000;
      const theirs = await a.open(other.path('kqueue'), 'rw');
      const path = await a.open(await mount.fifo('no-access'), 'r', O_PATH);
      for (const [fd, why] of [
        [theirs, 'a file of a file system that is not local (fuse.ipcfs)'],
        [path, 'it was opened with O_PATH, in a file system that is not local (fuse.ipcfs)'],
      ] as const) {
        expect(await queue.after(`add vnode fd:${fd} write`)).toEqual([
          `error vnode fd:${fd} errno=EBADF udata=- ${why}`,
        ]);
      }
      await a.close(theirs);
    } finally {
      await other.stop();
    }
  });

  test('K6, K125: queues that were opened through /dev/fd are told apart', async () => {
    const script = `exec 3<>kqueue 4<>/dev/fd/3 5<>kqueue
      echo 'add user 1 trigger' >&4; printf 'add read fd:3 udata=three\nadd read fd:4 udata=four\n' >&5
      read -r event <&5; echo "$event"; timeout 0.3 cat <&5 | grep -c three`;
    expect(await mount.sh(script)).toMatchObject({
      stdout: 'read fd:4 data=1 flags=- fflags=0 udata=four\n0\n',
    });
  });

  test('K55: of two opens of one segment, or of one directory, closing one leaves the knote of the other', async () => {
    await begin();
    await mount.output('truncate -s 4K shm/0x91');
    for (const [path, mode, change] of [
      ['shm/0x91', 'rw', 'chmod 640 shm/0x91'],
      ['pipes', 'r', 'chmod 1777 pipes'],
    ] as const) {
      const fds = [await a.open(path, mode), await a.open(path, mode), await a.open(path, mode)];
      for (const fd of fds) expect(await queue.after(`add vnode fd:${fd} attrib clear`)).toEqual([]);
      await a.close(fds[2]!);
      await a.close(fds[0]!);
      await mount.output(change);
      expect(await queue.take()).toEqual([`vnode fd:${fds[1]} data=0 flags=clear fflags=attrib udata=-`]);
      await a.close(fds[1]!);
    }
    await mount.output('rm shm/0x91');
  });

  test('a caller that is killed while its descriptor is looked up leaves nothing, and the mount serves on', async () => {
    await mount.output('mkfifo pipes/killed');
    const before = (await mount.table('handles')).length;
    const script = `exec 3<>kqueue 4<>pipes/killed 5<>/dev/fd/4 6<>/dev/fd/4
      while :; do printf 'add read fd:5\nadd read fd:6\ndelete read fd:5\n' >&3; done`;
    for (let round = 0; round < 10; round++) {
      const running = mount.start(script);
      await until(async () => (await mount.table('knotes')).some(({ ident }) => ident === 'fd:6'));
      running.kill('SIGKILL');
      await running.finished();
    }
    await until(async () => (await mount.table('handles')).length === before);
    expect(await mount.table('waits')).toEqual([]);
    expect((await mount.table('knotes')).filter(({ ident }) => ident === 'fd:6')).toEqual([]);
    expect(await mount.pipe('pipes/killed')).toMatchObject({ state: 'closed' });
  });

  test('K113, K114: a descriptor of a directory is told what happens in it, until it is closed', async () => {
    await begin();
    const fd = await a.open('pipes', 'r');
    expect(await queue.after(`add vnode fd:${fd} write clear`)).toEqual([]);
    await mount.fifo('new');
    expect(await queue.take()).toEqual([`vnode fd:${fd} data=0 flags=clear fflags=write udata=-`]);
    await a.close(fd);
    await mount.fifo('newer');
    expect(await queue.take()).toEqual([]);
    expect((await mount.table('knotes')).filter(({ ident }) => ident === `fd:${fd}`)).toEqual([]);
  });
});
