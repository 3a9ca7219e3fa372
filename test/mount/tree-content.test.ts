import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { run, until } from '../support/process.ts';

describeMount('info/content/: the bytes of pipes and segments, looked at', () => {
  let mount: TestMount;
  const alice = { uid: 65533, gid: 65533 };
  const nobody = { uid: 65534, gid: 65534 };
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  /** The error that a script ends with. */
  async function failure(script: string, user = {}): Promise<string> {
    const { status, stderr } = await mount.sh(script, user);
    expect([script, status]).not.toEqual([script, 0]);
    return stderr;
  }

  test('bytes in a ring are shown and not taken, and their number is the size', async () => {
    const driver = await mount.driver();
    await mount.fifo('ring');
    const fd = await driver.open('pipes/ring', 'rwn');
    await driver.write(fd, 'queued bytes');
    const before = await mount.pipe('pipes/ring');
    const dump = await mount.output('hexdump -C info/content/pipes/ring');
    expect(dump).toBe(
      '00000000  71 75 65 75 65 64 20 62  79 74 65 73              |queued bytes|\n0000000c\n',
    );
    expect(await mount.output('hexdump -s 7 -C info/content/pipes/ring | head -1')).toContain('|bytes|');
    expect(await mount.output('stat -c "%s %a" info/content/pipes/ring')).toBe('12 400\n');
    expect(await mount.pipe('pipes/ring')).toEqual(before);
    expect((await driver.read(fd, 100)).text).toBe('queued bytes');
    expect(await mount.output('cat info/content/pipes/ring')).toBe('');
    await driver.close(fd);
  });

  test('a ring that wraps is shown oldest first', async () => {
    const driver = await mount.driver();
    await mount.fifo('wrapping');
    const fd = await driver.open('pipes/wrapping', 'rwn');
    await driver.write(fd, 'x'.repeat(16_000));
    await driver.read(fd, 15_000);
    await driver.write(fd, 'y'.repeat(10_000));
    expect(await mount.pipe('pipes/wrapping')).toMatchObject({ cnt: 11_000, in: 9616, out: 15_000 });
    const bytes = await mount.output('cat info/content/pipes/wrapping');
    expect(bytes).toBe('x'.repeat(1000) + 'y'.repeat(10_000));
    await driver.close(fd);
  });

  test('bytes that a sleeping writer offers directly are shown; the writer sleeps on, and its reader gets them', async () => {
    await mount.fifo('direct');
    const seq = 'seq 100000 | head -c 300000';
    mount.start(`exec 3<>pipes/direct; dd bs=300000 iflag=fullblock count=1 status=none < <(${seq}) >&3`);
    await mount.untilBlocked('pipes/direct', 'pipdwt');
    const sum = await mount.output(`${seq} | cksum`);
    expect(await mount.output('cat info/content/pipes/direct | cksum')).toBe(sum);
    expect(await mount.output('stat -c %s info/content/pipes/direct')).toBe('300000\n');
    expect(await mount.blockedCount('pipes/direct', 'pipdwt')).toBe(1);
    expect(await mount.output('head -c 300000 pipes/direct | cksum')).toBe(sum);
  });

  test('an open look goes on with the state that it began with; from the start it looks anew', async () => {
    const driver = await mount.driver();
    await mount.fifo('moving');
    const fd = await driver.open('pipes/moving', 'rwn');
    await driver.write(fd, 'first');
    const look = await driver.open('info/content/pipes/moving', 'r');
    expect((await driver.read(look, 2)).text).toBe('fi');
    await driver.read(fd, 5);
    await driver.write(fd, 'later');
    expect((await driver.read(look, 100)).text).toBe('rst');
    expect(await mount.output('cat info/content/pipes/moving')).toBe('later');
    await driver.close(fd);
    await driver.close(look);
  });

  test('a look is no opener: a writer goes on waiting for its reader', async () => {
    await mount.fifo('waiting');
    mount.start('echo > pipes/waiting');
    await mount.untilBlocked('pipes/waiting', 'fifoow');
    expect(await mount.output('timeout 5 cat info/content/pipes/waiting')).toBe('');
    const driver = await mount.driver();
    const look = await driver.open('info/content/pipes/waiting', 'r');
    expect(await mount.pipe('pipes/waiting')).toMatchObject({ readers: 0, writers: 1 });
    expect(await mount.blockedCount('pipes/waiting', 'fifoow')).toBe(1);
    await driver.close(look);
    expect(await mount.output('timeout 5 cat pipes/waiting')).toBe('\n');
  });

  test('pipes in directories and both ends of pairs are there', async () => {
    const driver = await mount.driver();
    await mount.output('mkdir -p pipes/d/e pairs/p; mkfifo pipes/d/e/deep');
    const deep = await driver.open('pipes/d/e/deep', 'rwn');
    const end = await driver.open('pairs/p/0', 'rwn');
    await driver.write(deep, 'deep down');
    await driver.write(end, 'to the other');
    expect(await mount.output('cat info/content/pipes/d/e/deep')).toBe('deep down');
    expect(await mount.output('cat info/content/pairs/p/1')).toBe('to the other');
    expect(await mount.output('cat info/content/pairs/p/0')).toBe('');
    expect(await mount.output('cd info/content/pipes/d/e; ls ..; cd -P ..; pwd | sed s,.*/info,info,')).toBe(
      'e\ninfo/content/pipes/d\n',
    );
    await driver.close(deep);
    await driver.close(end);
  });

  test('names come and go with their objects, and listing never waits', async () => {
    await mount.output('mkdir pipes/list; cd pipes/list; mkfifo a b; ln -s a link');
    mount.start('cat pipes/list/a');
    await mount.untilBlocked('pipes/list/a', 'fifoor');
    expect(await mount.output('timeout 5 ls -A info/content/pipes/list')).toBe('a\nb\n');
    expect(await mount.output('timeout 5 find info/content/pipes/list | wc -l')).toBe('3\n');
    expect(await mount.output('ls info/content')).toBe('pairs\npipes\nshm\n');
    await mount.output('rm pipes/list/b; mv pipes/list/a pipes/list/c');
    expect(await mount.output('ls info/content/pipes/list')).toBe('c\n');
    expect(await failure('cat info/content/pipes/list/b')).toContain('No such file');
    await mount.output('rm -r pipes/list');
    expect(await failure('ls info/content/pipes/list')).toContain('No such file');
  });

  test('an inode number is the view’s own and stays; looking makes no files', async () => {
    await mount.fifo('numbered');
    const files = (): Promise<string> => mount.output("stat -f -c '%d' .");
    const before = await files();
    const first = await mount.output('stat -c %i info/content/pipes/numbered');
    expect(await mount.output('ls -i info/content/pipes | grep numbered')).toBe(`${first.trim()} numbered\n`);
    expect(await mount.output('stat -c %i pipes/numbered')).not.toBe(first);
    expect(await files()).toBe(before);
  });

  describe('segments', () => {
    test('are shown by key and by id, from any position, without being attached', async () => {
      const bytes = 'printf "%01000d" 0 | tr 0 z; printf end';
      await mount.output(
        `{ ${bytes}; } | dd of=shm/0x1234 status=none; dd if=/dev/null of=shm/0x1234 conv=notrunc status=none`,
      );
      const row = async (): Promise<unknown> =>
        (await mount.table('shm')).find((each) => each['key'] === '0x00001234');
      const before = await row();
      expect(await mount.output('hexdump -s 1000 -C info/content/shm/0x00001234')).toBe(
        '000003e8  65 6e 64                                          |end|\n000003eb\n',
      );
      const driver = await mount.driver();
      const look = await driver.open('info/content/shm/0x00001234', 'r');
      expect((await driver.read(look, 5)).text).toBe('zzzzz');
      expect(await row()).toEqual(before);
      expect(await mount.output('stat -c "%s %a" info/content/shm/4660')).toBe('1003 400\n');
      expect(await mount.output('cat info/content/shm/0x1234 | cksum')).toBe(
        await mount.output(`{ ${bytes}; } | cksum`),
      );
      const id = String((before as { id: number }).id);
      expect(await mount.output(`ls info/content/shm info/content/shm/id`)).toBe(
        `info/content/shm:\n0x00001234\nid\n\ninfo/content/shm/id:\n${id}\n`,
      );
      expect(await mount.output(`tail -c 3 info/content/shm/id/${id}`)).toBe('end');
      await mount.output('rm shm/0x1234');
      expect(await mount.output('ls info/content/shm')).toBe('id\n');
      expect(await driver.read(look, 5)).toMatchObject({ result: 0 });
      await driver.close(look);
    });

    test.each(['auto', 'cached'])(
      'show what processes write into their mappings, --shm-backing %s',
      async (kind) => {
        const other = await TestMount.start(['--shm-backing', kind]);
        try {
          const script = `import mmap, os
fd = os.open('shm/0x77', os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)
memory[10:16] = b'mapped'
memory.flush()
print(open('info/content/shm/0x77', 'rb').read()[10:16].decode())
`;
          const { stdout, stderr } = await run('python3', ['-c', script], { cwd: other.directory });
          expect([stdout, stderr]).toEqual(['mapped\n', '']);
        } finally {
          await other.stop();
        }
      },
    );
  });

  describe('who may look', () => {
    test('the owner and root, whatever the mode of the pipe says', async () => {
      await mount.output('cd pipes; umask 0; mkfifo hers; chmod 666 hers; mkdir ../pairs/hers', alice);
      const driver = await mount.driver(alice);
      const fd = await driver.open('pipes/hers', 'rwn');
      await driver.write(fd, 'secret');
      expect(await mount.output('cat info/content/pipes/hers', alice)).toBe('secret');
      expect(await mount.output('cat info/content/pipes/hers')).toBe('secret');
      for (const name of ['pipes/hers', 'pairs/hers/0']) {
        expect(await failure(`cat info/content/${name}`, nobody)).toContain('Permission denied');
      }
      await mount.output('chown 65534 pipes/hers');
      expect(await mount.output('cat info/content/pipes/hers', nobody)).toBe('secret');
      expect(await failure('cat info/content/pipes/hers', alice)).toContain('Permission denied');
      await driver.close(fd);
    });

    test('a segment’s owner', async () => {
      await mount.output('umask 0; truncate -s 100 shm/0x55; chmod 666 shm/0x55', alice);
      expect(await mount.output('cat info/content/shm/0x55 | wc -c', alice)).toBe('100\n');
      expect(await failure('cat info/content/shm/0x55', nobody)).toContain('Permission denied');
      await mount.output('rm shm/0x55');
    });

    test('a closed directory is closed here', async () => {
      await mount.output('mkdir -m 700 pipes/closed; mkfifo pipes/closed/a', alice);
      expect(await failure('ls info/content/pipes/closed', nobody)).toContain('Permission denied');
      expect(await mount.output('ls info/content/pipes/closed', alice)).toBe('a\n');
    });
  });

  test('nothing can be written, made, changed or removed', async () => {
    await mount.fifo('fixed');
    const file = 'info/content/pipes/fixed';
    expect(await failure(`echo 1 > ${file}`)).toMatch(/Permission denied|not permitted/);
    expect(await failure(`exec 3<>${file}`)).toContain('Permission denied');
    for (const script of [
      `rm -f ${file}`,
      `chmod 644 ${file}`,
      `chown 65534 ${file}`,
      `touch ${file}`,
      'touch info/content/pipes/new',
      'mkfifo info/content/pipes/new',
      'mkdir info/content/pairs/new',
      `ln ${file} pipes/elsewhere`,
      `mv ${file} pipes/elsewhere`,
      'chmod 777 info/content/pipes',
      'truncate -s 10 info/content/shm/0x99',
    ]) {
      expect(await failure(script)).toMatch(/not permitted|Permission denied|Invalid cross-device/);
    }
    expect(await mount.output(`stat -c '%a %u' ${file}; ls pipes | grep -c elsewhere || :`)).toBe(
      '400 0\n0\n',
    );
    expect(await mount.pipe('pipes/fixed')).toMatchObject({ state: 'closed' });
  });

  test('bytes-in and bytes-out of info/pipes count what went through, over all opens', async () => {
    await mount.fifo('counted');
    const counts = async (): Promise<unknown[]> => {
      const row = await mount.pipe('pipes/counted');
      return [row['bytes-in'], row['bytes-out']];
    };
    expect(await counts()).toEqual([0, 0]);
    await mount.output('seq 100 > pipes/counted & cat pipes/counted > /dev/null; wait');
    expect(await counts()).toEqual([292, 292]);
    await mount.output('head -c 5000000 /dev/zero > pipes/counted & cat pipes/counted > /dev/null; wait');
    expect(await counts()).toEqual([5_000_292, 5_000_292]);
    const driver = await mount.driver();
    const fd = await driver.open('pipes/counted', 'rwn');
    await driver.write(fd, 'abcdef');
    await driver.read(fd, 2);
    expect(await counts()).toEqual([5_000_298, 5_000_294]);
    await driver.close(fd);
    await until(async () => (await mount.pipe('pipes/counted'))['state'] === 'closed');
    expect(await counts()).toEqual([5_000_298, 5_000_294]);
    await mount.output('mkdir pairs/counted');
    const end = await driver.open('pairs/counted/0', 'rwn');
    await driver.write(end, 'ping');
    expect(await mount.pipe('pairs/counted/1')).toMatchObject({ 'bytes-in': 4, 'bytes-out': 0 });
    expect(await mount.pipe('pairs/counted/0')).toMatchObject({ 'bytes-in': 0, 'bytes-out': 0 });
    await driver.close(end);
  });
});
