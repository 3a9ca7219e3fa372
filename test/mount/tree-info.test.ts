import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

const columns: Record<string, string> = {
  version: 'name version pid',
  pipes:
    'path ino cnt in out size direct readers writers blocked-readers blocked-writers state bytes-in bytes-out options bytes-dropped records-dropped',
  handles: 'handle path mode nonblock uid pid msgs-in msgs-out',
  waits: 'pid call object wait since process command ino peer-ino peers inferred until',
  sysctls: 'name value type min max writable description',
};

describeMount('info/ and sysctl/', () => {
  let mount: TestMount;
  const nobody = { uid: 65534, gid: 65534 };
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  async function failure(script: string, user = {}): Promise<string> {
    const { status, stderr } = await mount.sh(script, user);
    expect([script, status]).not.toEqual([script, 0]);
    return stderr;
  }

  test('every table has a JSON file beside it, and both have the same columns', async () => {
    expect(await mount.output('ls -I content -I "trace*" info')).toBe(
      [
        'faults',
        'handles',
        'knotes',
        'kqueues',
        'locks',
        'metrics',
        'pipes',
        'shm',
        'sysctls',
        'transport',
        'users',
        'version',
        'waits',
      ]
        .map((name) => `${name}\n${name}.json\n`)
        .join(''),
    );
    const driver = await mount.driver();
    await mount.output('mkfifo pipes/a');
    const fd = await driver.open('pipes/a', 'rw');
    driver.begin({ call: 'read', fd, count: 1 });
    await mount.untilBlocked('pipes/a', 'piperd');
    for (const [name, expected] of Object.entries(columns)) {
      const header = (await mount.output(`head -1 info/${name}`)).trim().split(/ +/);
      expect(header).toEqual(expected.split(' '));
      const rows = await mount.table(name);
      expect(rows.length).toBeGreaterThan(0);
      for (const row of rows) expect(Object.keys(row)).toEqual(header);
    }
  });

  test('info/version names the serving process', async () => {
    const [row] = await mount.table('version');
    expect(row).toMatchObject({ name: 'ipcfs', pid: mount.server.pid });
    expect(row!['version']).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test('info/pipes shows a pipe from its making to its removal', async () => {
    const driver = await mount.driver();
    await mount.output('mkfifo pipes/b');
    const inode = Number(await mount.output('stat -c %i pipes/b'));
    const closed = { path: 'pipes/b', ino: inode, cnt: 0, size: 0, readers: 0, writers: 0, state: 'closed' };
    expect(await mount.pipe('pipes/b')).toMatchObject(closed);
    const reader = await driver.open('pipes/b', 'rn');
    expect(await mount.pipe('pipes/b')).toMatchObject({ readers: 1, writers: 0, state: 'no-writer' });
    const writer = await driver.open('pipes/b', 'w');
    await driver.write(writer, 'hello');
    const open = { cnt: 5, in: 5, out: 0, size: 16384, direct: 0, readers: 1, writers: 1, state: 'open' };
    expect(await mount.pipe('pipes/b')).toMatchObject(open);
    await driver.read(reader, 2);
    expect(await mount.pipe('pipes/b')).toMatchObject({ cnt: 3, in: 5, out: 2 });
    await driver.close(writer);
    expect(await mount.pipe('pipes/b')).toMatchObject({ writers: 0, state: 'eof' });
    await driver.close(reader);
    expect(await mount.pipe('pipes/b')).toMatchObject(closed);
    await mount.output('rm pipes/b');
    await expect(mount.pipe('pipes/b')).rejects.toThrow('info/pipes has no pipes/b');
  });

  test('info/pipes counts who waits, and shows bytes that are offered directly', async () => {
    await mount.output('mkfifo pipes/c pipes/d');
    mount.start('exec 3<>pipes/c; cat <&3 & cat <&3');
    await mount.untilBlocked('pipes/c', 'piperd', 2);
    expect(await mount.pipe('pipes/c')).toMatchObject({ 'blocked-readers': 2, 'blocked-writers': 0 });
    mount.start('exec 3<>pipes/d; exec dd if=/dev/zero bs=100000 count=1 status=none >&3');
    await mount.untilBlocked('pipes/d', 'pipdwt');
    expect(await mount.pipe('pipes/d')).toMatchObject({
      direct: 100_000,
      'blocked-readers': 0,
      'blocked-writers': 1,
    });
  });

  test('info/handles shows who has what open and how, and counts messages', async () => {
    const driver = await mount.driver(nobody);
    await mount.output('mkfifo -m 666 pipes/e');
    const fd = await driver.open('pipes/e', 'rwn');
    await driver.write(fd, 'abc');
    await driver.write(fd, 'def');
    await driver.read(fd, 10);
    const row = (await mount.table('handles')).find((candidate) => candidate['path'] === 'pipes/e');
    expect(row).toMatchObject({
      mode: 'rw',
      nonblock: 'yes',
      uid: 65534,
      pid: driver.pid,
      'msgs-in': 1,
      'msgs-out': 2,
    });
    await driver.close(fd);
    expect((await mount.table('handles')).map((other) => other['path'])).not.toContain('pipes/e');
  });

  test('info/waits shows the calling process, its call, and for how long', async () => {
    await mount.output('mkfifo pipes/f');
    const reader = mount.start('exec cat pipes/f');
    await mount.untilBlocked('pipes/f', 'fifoor');
    const look = async (): Promise<Record<string, unknown> | undefined> =>
      (await mount.table('waits')).find((row) => row['object'] === 'pipes/f');
    const first = await look();
    expect(first).toMatchObject({ pid: reader.pid, call: 'open', wait: 'fifoor' });
    const second = await look();
    expect(second!['since']).toBeGreaterThan(first!['since'] as number);
    reader.kill('SIGKILL');
    await reader.finished();
    expect(await look()).toBeUndefined();
  });

  test('a reader sees one state of a table, however slowly it reads', async () => {
    const script = `mkdir pipes/g; cd pipes/g; seq 200 | xargs mkfifo; exec 3<../../info/pipes; head -c 100 <&3 > /dev/null
      rm *; cat <&3 | grep -c pipes/g/; grep -c pipes/g/ ../../info/pipes; rmdir ../g`;
    const { stdout } = await mount.sh(script);
    expect(stdout).toMatch(/^(199|200)\n0\n$/);
  });

  test('tables cannot be written, made or removed', async () => {
    expect(await failure('echo 1 > info/pipes', nobody)).toContain('Permission denied');
    expect(await failure('echo 1 > info/pipes')).toContain('Invalid argument');
    expect(await failure('truncate -s 5 info/pipes')).toContain('Invalid argument');
    expect(await failure('rm -f info/pipes')).toContain('Operation not permitted');
    expect(await failure('touch info/new')).toContain('Operation not permitted');
    expect(await failure('touch info/new', nobody)).toContain('Permission denied');
    await mount.output(
      'cat $(find info -maxdepth 1 -type f) > /dev/null; cat sysctl/kern/ipc/* > /dev/null',
      nobody,
    );
  });

  test('a sysctl takes integers with K, M and G, and shows them plain', async () => {
    const file = 'sysctl/kern/ipc/pipe_direct_max';
    const before = await mount.output(`cat ${file}`);
    for (const [written, read] of [
      ['65536', 65536],
      ['128K', 131072],
      ['2m', 2097152],
      ['1G', 1073741824],
      ['0x10000', 65536],
      [' 4096 ', 4096],
    ] as const) {
      expect(await mount.output(`echo '${written}' > ${file}; cat ${file}`)).toBe(`${read}\n`);
    }
    expect(await mount.output(`printf 8K > ${file}; echo 9K >> ${file}; cat ${file}`)).toBe('9216\n');
    await mount.output(`echo ${before.trim()} > ${file}`);
  });

  test('a sysctl refuses what is no integer and what is out of range, and keeps its value', async () => {
    const file = 'sysctl/kern/ipc/pipe_direct_max';
    const before = await mount.output(`cat ${file}`);
    for (const text of ['', 'x', '1.5', '1T', '1 2', '0', '-1', '1e3', '99999999999999999999', '0x']) {
      expect(await failure(`echo '${text}' > ${file}`)).toContain('Invalid argument');
    }
    expect(await failure(`head -c 5000 /dev/zero | tr '\\0' 1 > ${file}`)).toContain('Invalid argument');
    expect(await failure('echo 4096 > sysctl/kern/ipc/pipe_mindirect')).toContain('Invalid argument');
    expect(await mount.output(`cat ${file}`)).toBe(before);
  });

  test('counters and loader tunables are read-only, for root too', async () => {
    expect(await mount.output('cd sysctl/kern/ipc; stat -c "%n %a" *')).toBe(
      'maxpipekva 444\npipe_buf 444\npipe_direct_max 644\npipe_mindirect 644\npipeallocfail 444\n' +
        'pipefragretry 444\npipekva 444\npiperesizeallowed 644\npiperesizefail 444\n' +
        'shm_use_phys 644\nshmmax 644\nshmmaxpgs 644\nshmmin 444\nshmmni 644\nshmseg 644\n',
    );
    for (const name of ['maxpipekva', 'pipe_buf', 'pipekva', 'pipeallocfail']) {
      expect(await failure(`echo 1 > sysctl/kern/ipc/${name}`)).toContain('Operation not permitted');
    }
  });

  test('others than root may not write, even to a file that they own', async () => {
    const file = 'sysctl/kern/ipc/piperesizeallowed';
    expect(await failure(`echo 0 > ${file}`, nobody)).toContain('Permission denied');
    await mount.output(`chown 65534 ${file}`);
    expect(await failure(`echo 0 > ${file}`, nobody)).toContain('Operation not permitted');
    expect(await mount.output(`cat ${file}; chown 0 ${file}`)).toBe('1\n');
  });

  test('a name that is no sysctl does not exist, and cannot be made', async () => {
    for (const script of [
      'cat sysctl/kern/ipc/none',
      'echo 1 > sysctl/kern/ipc/none',
      'echo 1 > sysctl/none',
    ]) {
      expect(await failure(script)).toContain('No such file or directory');
    }
    expect(await failure('mkdir sysctl/kern/none; rmdir sysctl/kern')).toContain('Operation not permitted');
    expect(await failure('rm -f sysctl/kern/kq_checkloop')).toContain('Operation not permitted');
  });

  test('info/sysctls has every file of sysctl/ with its range, and the range is what the file takes', async () => {
    const rows = await mount.table('sysctls');
    const files = (await mount.output('cd sysctl; find . -type f -printf "%P\\n" | sort'))
      .trimEnd()
      .split('\n');
    expect(rows.map((row) => String(row['name']).replaceAll('.', '/')).sort()).toEqual(files);
    for (const { name, value, type, min, max, writable, description } of rows) {
      const file = `sysctl/${String(name).replaceAll('.', '/')}`;
      expect(value).toBe(await mount.sysctl(String(name)));
      expect(['bytes', 'pages', 'count', 'switch']).toContain(type);
      expect(description).not.toBe('');
      if (writable === 'no') {
        expect([min, max]).toEqual(['', '']);
        expect(await failure(`echo ${value!} > ${file}`)).toContain('Operation not permitted');
        continue;
      }
      expect(Number(min)).toBeLessThanOrEqual(Number(value));
      expect(Number(max)).toBeGreaterThanOrEqual(Number(value));
      if (writable === 'mount') {
        expect(await failure(`echo ${value!} > ${file}`)).toContain('Operation not permitted');
        continue;
      }
      expect(writable).toBe('root');
      for (const beyond of [BigInt(min!) - 1n, BigInt(max!) + 1n]) {
        expect(await failure(`echo ${beyond} > ${file}`)).toContain('Invalid argument');
      }
      expect(await failure(`echo ${value!} > ${file}`, nobody)).toContain('Permission denied');
      await mount.output(`echo ${value!} > ${file}`);
    }
    const line = await mount.output('grep -w pipe_mindirect info/sysctls');
    expect(line).toMatch(
      / 8192 +bytes +4097 +9007199254740991 +root +size in bytes from which a blocking write goes /,
    );
  });

  test('a range follows the tunable that it depends on', async () => {
    const small = await TestMount.start(['--pipe-buf', '512']);
    try {
      const range = async (): Promise<unknown[]> =>
        (await small.table('sysctls'))
          .filter(({ name }) => name === 'kern.ipc.pipe_mindirect')
          .map(({ min }) => min);
      expect(await range()).toEqual([513]);
      await small.setSysctl('kern.ipc.pipe_mindirect', 513);
    } finally {
      await small.stop();
    }
  });

  test('a sysctl takes effect', async () => {
    await mount.output('echo 0 > sysctl/kern/ipc/piperesizeallowed; mkfifo pipes/h');
    const driver = await mount.driver();
    const fd = await driver.open('pipes/h', 'rwn');
    await driver.writePattern(fd, 40_000);
    expect(await mount.pipe('pipes/h')).toMatchObject({ cnt: 16384, size: 16384 });
    await mount.output('echo 1 > sysctl/kern/ipc/piperesizeallowed');
    await driver.writePattern(fd, 4096);
    await driver.close(fd);
  });

  test('mount options set loader tunables', async () => {
    const tuned = await TestMount.start(['--pipe-buf', '512', '--sysctl', 'kern.ipc.maxpipekva=1M']);
    try {
      expect(await tuned.sysctl('kern.ipc.pipe_buf')).toBe(512);
      expect(await tuned.sysctl('kern.ipc.maxpipekva')).toBe(1048576);
    } finally {
      await tuned.stop();
    }
  });
});
