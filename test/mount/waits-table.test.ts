import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeMount, type Row, TestMount } from '../support/mount.ts';

describeMount('info/waits', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterEach(() => mount.endDrivers());
  afterAll(() => mount.stop());

  /** The rows about one object, once there are `count` that wait for `wait`. */
  async function waitsOn(object: string, wait: string, count = 1): Promise<Row[]> {
    await mount.untilBlocked(object, wait, count);
    return (await mount.table('waits')).filter((row) => row['object'] === object && row['wait'] === wait);
  }

  async function inodeOf(path: string): Promise<number> {
    return Number(await mount.output(`stat -c %i ${path}`));
  }

  test('opens: who, and what ends them', async () => {
    const ino = Number(await mount.output('mkfifo pipes/open; stat -c %i pipes/open'));
    const reader = mount.start('exec cat pipes/open');
    expect(await waitsOn('pipes/open', 'fifoor')).toMatchObject([
      {
        pid: reader.pid,
        process: reader.pid,
        command: 'cat',
        call: 'open',
        ino,
        'peer-ino': ino,
        peers: 0,
        until: 'a writer opens it',
      },
    ]);
    reader.kill('SIGKILL');
    await reader.finished();
    mount.start('exec dd if=/dev/null of=pipes/open conv=nocreat status=none');
    expect(await waitsOn('pipes/open', 'fifoow')).toMatchObject([
      { command: 'dd', call: 'open', peers: 0, until: 'a reader opens it' },
    ]);
  });

  test('the creator of a pipe meets its reader at its first write', async () => {
    mount.start('echo x > pipes/created');
    expect(await waitsOn('pipes/created', 'fifoow')).toMatchObject([
      { call: 'write', peers: 0, until: 'a reader opens it' },
    ]);
  });

  test('a thread that is not its process', async () => {
    const driver = await mount.driver();
    const fd = await driver.open(await mount.fifo('thread'), 'rw');
    driver.begin({ call: 'read', fd, count: 1 });
    const [row] = await waitsOn('pipes/thread', 'piperd');
    expect(row).toMatchObject({ process: driver.pid, command: 'node' });
    expect(row!['pid']).toBeGreaterThan(0);
  });

  test('reads: with a writer, with several, with none', async () => {
    const [a, b, c] = [await mount.driver(), await mount.driver(), await mount.driver()];
    const path = await mount.fifo('read');
    const fd = await a.open(path, 'rn');
    await a.setNonBlocking(fd, false);
    a.begin({ call: 'read', fd, count: 1 });
    expect(await waitsOn(path, 'piperd')).toMatchObject([
      { peers: 0, until: 'a writer opens it and writes' },
    ]);
    await b.open(path, 'w');
    expect(await waitsOn(path, 'piperd')).toMatchObject([
      { peers: 1, until: 'data comes, or its writer closes' },
    ]);
    await c.open(path, 'w');
    expect(await waitsOn(path, 'piperd')).toMatchObject([
      { peers: 2, until: 'data comes, or the last of its 2 writers closes' },
    ]);
  });

  test('writes: without room, direct, and behind a direct one', async () => {
    const [reader, a, b, c] = [
      await mount.driver(),
      await mount.driver(),
      await mount.driver(),
      await mount.driver(),
    ];
    const path = await mount.fifo('write');
    await reader.open(path, 'rn');
    const [fromA, fromB, fromC] = [await a.open(path, 'w'), await b.open(path, 'w'), await c.open(path, 'w')];
    a.begin({ call: 'writePattern', fd: fromA, count: 100_000 });
    expect(await waitsOn(path, 'pipdwt')).toMatchObject([
      { call: 'write', peers: 1, until: 'readers take 100000 bytes, or its reader closes' },
    ]);
    b.begin({ call: 'writePattern', fd: fromB, count: 9000 });
    expect(await waitsOn(path, 'pipdww')).toMatchObject([
      { until: "readers take another writer's bytes, then 9000 bytes, or its reader closes" },
    ]);
    c.begin({ call: 'write', fd: fromC, text: 'x' });
    expect(await waitsOn(path, 'pipbww')).toMatchObject([
      { until: "readers take another writer's bytes, then 1 byte, or its reader closes" },
    ]);
  });

  test('writes into a full pipe, and direct ones behind what is buffered', async () => {
    const [reader, a, b] = [await mount.driver(), await mount.driver(), await mount.driver()];
    const path = await mount.fifo('full');
    await reader.open(path, 'rn');
    const [fromA, fromB] = [await a.open(path, 'w'), await b.open(path, 'w')];
    await a.write(fromA, 'some');
    b.begin({ call: 'writePattern', fd: fromB, count: 9000 });
    expect(await waitsOn(path, 'pipdwc')).toMatchObject([
      { until: 'readers empty the pipe, then take 9000 bytes, or its reader closes' },
    ]);
    await a.setNonBlocking(fromA);
    for (let result = 1; result > 0;) ({ result } = await a.writePattern(fromA, 4096));
    await a.setNonBlocking(fromA, false);
    a.begin({ call: 'write', fd: fromA, text: 'x'.repeat(4096) });
    expect(await waitsOn(path, 'pipewr')).toMatchObject([
      { until: 'readers make room for 4096 bytes, or its reader closes' },
    ]);
  });

  test('a pair: the other end is what matters', async () => {
    const [a, b] = [await mount.driver(), await mount.driver()];
    await mount.output('mkdir pairs/p');
    const [zero, one] = [await a.open('pairs/p/0', 'rw'), await b.open('pairs/p/1', 'rw')];
    a.begin({ call: 'read', fd: zero, count: 1 });
    const inodes = { ino: await inodeOf('pairs/p/0'), 'peer-ino': await inodeOf('pairs/p/1') };
    expect(await waitsOn('pairs/p/0', 'piperd')).toMatchObject([
      { ...inodes, peers: 1, until: 'the other end writes, or is closed' },
    ]);
    expect(inodes.ino).not.toBe(inodes['peer-ino']);
    await b.write(one, 'x');
    a.begin({ call: 'writePattern', fd: zero, count: 50_000 });
    expect(await waitsOn('pairs/p/0', 'pipdwt')).toMatchObject([
      { ...inodes, until: 'the other end takes 50000 bytes, or is closed' },
    ]);
  });

  test('segments in creation, by their name and by shm/ctl', async () => {
    const [maker, opener, asker] = [await mount.driver(), await mount.driver(), await mount.driver()];
    const O_CREAT = 0o100;
    await maker.open('shm/0x77', 'rw', O_CREAT);
    const ino = await inodeOf('shm/0x77');
    opener.begin({ call: 'open', path: 'shm/0x77', flags: 0 });
    const expected = {
      'peer-ino': ino,
      peers: 1,
      until: 'its size is set, or its creator closes it',
    };
    expect(await waitsOn('shm/0x00000077', 'shmwait')).toMatchObject([{ call: 'open', ino, ...expected }]);
    const control = await asker.open('shm/ctl', 'rw');
    asker.begin({ call: 'write', fd: control, text: 'get 0x77 4096 create\n' });
    expect(await waitsOn('shm/ctl', 'shmwait')).toMatchObject([{ call: 'write', ...expected }]);
  });

  test('a kqueue: events', async () => {
    const driver = await mount.driver();
    const fd = await driver.open('kqueue', 'rw');
    await driver.write(fd, 'add user 1\nadd user 2\n');
    driver.begin({ call: 'read', fd, count: 100 });
    expect(await waitsOn('kqueue', 'kqread')).toMatchObject([
      { 'peer-ino': '-', peers: '-', until: 'an event comes: 2 registered' },
    ]);
  });

  test('the text keeps the words of the last column, and one word in each other', async () => {
    const script = 'exec 3<>pipes/text; exec -a "two words" cat <&3';
    mount.start(script);
    await mount.untilBlocked('pipes/text', 'piperd');
    const text = await mount.output('awk \'$3 == "pipes/text"\' info/waits');
    expect(text).toMatch(
      /^ *\d+ read +pipes\/text +piperd +[\d.]+ +\d+ cat +\d+ +\d+ +1 - +data comes, or its writer closes\n$/,
    );
  });

  test('hundreds of new calls: every line is there, and callers are filled in', async () => {
    await mount.output('mkfifo pipes/many');
    mount.start('for i in {1..300}; do cat pipes/many & done; wait', { timeoutMs: 60_000 });
    await mount.untilBlocked('pipes/many', 'fifoor', 300);
    for (let reading = 0; reading < 20; reading++) await mount.table('waits');
    const rows = await waitsOn('pipes/many', 'fifoor', 300);
    expect(new Set(rows.map((row) => row['command']))).toEqual(new Set(['cat']));
    expect(new Set(rows.map((row) => row['process'])).size).toBe(300);
  });
});
