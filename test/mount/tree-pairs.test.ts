import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { LINUX_POLLHUP, LINUX_POLLIN } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

const ENXIO = -6;
const EAGAIN = -11;
const EPIPE = -32;

describeMount('pairs/', () => {
  let mount: TestMount;
  let driver: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    driver = await mount.driver();
  });
  afterAll(() => mount.stop());

  /** open(2) as it comes, O_RDWR: a descriptor or a negative errno. */
  async function openEnd(path: string): Promise<number> {
    return (await driver.call({ call: 'open', path, flags: 2 })).result;
  }

  async function failure(script: string): Promise<string> {
    const { status, stderr } = await mount.sh(script);
    expect([script, status]).not.toEqual([script, 0]);
    return stderr;
  }

  test('mkdir makes two ends with the mode and owner of the directory', async () => {
    const script = `umask 027; mkdir pairs/made; mkdir -m 711 pairs/narrow; umask 0; mkdir pairs/wide
      ls pairs/made; stat -c '%n %F %a' pairs/*/*; stat -c '%a %h' pairs/made`;
    const end = (name: string, mode: number): string =>
      [0, 1].map((index) => `pairs/${name}/${index} regular empty file ${mode}\n`).join('');
    expect(await mount.output(script)).toBe(
      `0\n1\n${end('made', 640)}${end('narrow', 600)}${end('wide', 666)}750 2\n`,
    );
    await mount.output('rmdir pairs/*');
  });

  test('both directions carry bytes, at once', async () => {
    await mount.output('mkdir pairs/both');
    const [zero, one] = [await openEnd('pairs/both/0'), await openEnd('pairs/both/1')];
    await driver.write(zero, 'to one');
    await driver.write(one, 'to zero');
    expect((await driver.read(one, 20)).text).toBe('to one');
    expect((await driver.read(zero, 20)).text).toBe('to zero');
    await driver.close(zero);
    await driver.close(one);
  });

  test('a shell talks to a coprocess through a pair', async () => {
    const script = `mkdir pairs/talk
      while read -r line; do echo "\${line^^}"; done <> pairs/talk/1 >&0 & pid=$!
      exec 3<>pairs/talk/0
      until [ $(awk '$1 == "pairs/talk/1" { print $8 }' info/pipes) -gt 0 ]; do :; done
      for number in {1..100}; do echo "line $number" >&3; read -r answer <&3; echo "$answer"; done | uniq | md5sum
      exec 3>&-; wait $pid; echo $?; rmdir pairs/talk
      for number in {1..100}; do echo "LINE $number"; done | md5sum`;
    const [got, status, expected] = (await mount.output(script)).split('\n');
    expect([got, status]).toEqual([expected, '0']);
  });

  test('an end is open from the mkdir on: what is written to it waits for its reader', async () => {
    const script = 'mkdir pairs/early; echo early > pairs/early/0; head -1 pairs/early/1; rmdir pairs/early';
    expect(await mount.output(script)).toBe('early\n');
  });

  test('an end whose last descriptor is closed is closed for good', async () => {
    await mount.output('mkdir pairs/ends');
    const [first, second, one] = [
      await openEnd('pairs/ends/0'),
      await openEnd('pairs/ends/0'),
      await openEnd('pairs/ends/1'),
    ];
    await driver.write(first, 'last words');
    await driver.close(first);
    expect((await driver.read(one, 4)).text).toBe('last');
    expect((await mount.pipe('pairs/ends/0'))['state']).toBe('open');
    await driver.close(second);
    expect(await openEnd('pairs/ends/0')).toBe(ENXIO);
    expect((await driver.read(one, 20)).text).toBe(' words');
    expect((await driver.read(one, 20)).result).toBe(0);
    expect((await driver.write(one, 'x')).result).toBe(EPIPE);
    expect(await driver.poll(one, LINUX_POLLIN)).toBe(LINUX_POLLIN | LINUX_POLLHUP);
    expect((await mount.pipe('pairs/ends/0'))['state']).toBe('closed');
    expect((await mount.pipe('pairs/ends/1'))['state']).toBe('eof');
    await driver.close(one);
    expect(await openEnd('pairs/ends/1')).toBe(ENXIO);
    expect(await failure('cat pairs/ends/1')).toContain('No such device or address');
    await mount.output('rmdir pairs/ends');
  });

  test('a reader that waits sees the end-of-file when the other end is closed', async () => {
    await mount.output('mkdir pairs/eof');
    const zero = await openEnd('pairs/eof/0');
    const reader = mount.start('cat pairs/eof/1');
    await mount.untilBlocked('pairs/eof/1', 'piperd');
    await driver.write(zero, 'x');
    await driver.close(zero);
    const { status, stdout } = await reader.finished();
    expect([status, stdout]).toEqual([0, 'x']);
  });

  test('rmdir ends a pair that was never opened, or is closed, with what it holds', async () => {
    await mount.output('mkdir pairs/closed pairs/unused; echo x > pairs/unused/0');
    const kva = await mount.sysctl('kern.ipc.pipekva');
    await driver.close(await openEnd('pairs/closed/1'));
    await mount.output('rmdir pairs/closed pairs/unused');
    expect(await failure('ls pairs/closed')).toContain('No such file');
    expect(await mount.sysctl('kern.ipc.pipekva')).toBeLessThan(kva);
  });

  test('rmdir takes the name of an open pair away, which lives until its last close', async () => {
    await mount.output('mkdir pairs/open');
    const kva = await mount.sysctl('kern.ipc.pipekva');
    const [zero, one] = [await openEnd('pairs/open/0'), await openEnd('pairs/open/1')];
    await mount.output('rmdir pairs/open; mkdir pairs/open; rmdir pairs/open');
    await driver.write(zero, 'to one');
    await driver.write(one, 'to zero');
    expect((await driver.read(one, 20)).text).toBe('to one');
    expect((await driver.read(zero, 20)).text).toBe('to zero');
    await driver.close(zero);
    expect((await driver.read(one, 20)).result).toBe(0);
    await driver.close(one);
    await until(
      async () => (await mount.sysctl('kern.ipc.pipekva')) < kva,
      () => 'the memory of the pair is given back',
    );
  });

  test('rmdir closes an end that nobody has open: the other one reads end-of-file', async () => {
    await mount.output('mkdir pairs/half');
    const one = await openEnd('pairs/half/1');
    const reader = driver.call({ call: 'read', fd: one, count: 5 });
    await until(
      async () => (await mount.blockedCount('pairs/half/1', 'piperd')) === 1,
      () => 'the read of the end waits',
    );
    await mount.output('mkdir pairs/other; mv -T pairs/other pairs/half; rmdir pairs/half');
    expect((await reader).result).toBe(0);
    await driver.close(one);
  });

  test('rmdir ends a write to an end that nobody has open', async () => {
    const writer = mount.start(
      `mkdir pairs/full; trap '' PIPE; exec dd if=/dev/zero of=pairs/full/0 bs=200000 count=1 status=none conv=notrunc`,
    );
    await mount.untilBlocked('pairs/full/0', 'pipdwt');
    const inode = (await mount.pipe('pairs/full/1'))['ino'];
    expect(inode).toBeGreaterThan(0);
    await mount.output('rmdir pairs/full');
    const { status, stderr } = await writer.finished();
    expect([status, stderr]).toEqual([1, expect.stringContaining('Broken pipe')]);
    expect((await mount.table('pipes')).filter(({ ino }) => ino === inode)).toEqual([]);
  });

  test('a pair can be renamed, while it is open too', async () => {
    await mount.output('mkdir pairs/old');
    const fd = await openEnd('pairs/old/0');
    await mount.output('mv pairs/old pairs/new; echo hi > pairs/new/1');
    expect((await driver.read(fd, 10)).text).toBe('hi\n');
    await driver.close(fd);
    await mount.output('rmdir pairs/new');
  });

  test('nothing else is made in pairs/, and the ends stay where they are', async () => {
    await mount.output('mkdir pairs/only');
    const refused = [
      'mkfifo pairs/x',
      'touch pairs/x',
      ': > pairs/x',
      'ln -s y pairs/x',
      'ln pairs/only/0 pairs/x',
      'ln pairs/only/0 pairs/only/2',
      'mkdir pairs/only/x',
      'touch pairs/only/2',
      'mkfifo pairs/only/2',
      'rm -f pairs/only/0',
      'mv pairs/only/0 pairs/only/2',
      'mv pairs/only/0 pipes/x',
    ];
    for (const script of refused) {
      expect(`${script}: ${await failure(script)}`).toMatch(/Operation not permitted|cross-device/);
    }
    expect(await failure('mkdir pairs/only')).toContain('File exists');
    expect(await mount.output('ls pairs/only; rmdir pairs/only')).toBe('0\n1\n');
  });

  test('modes of the ends and of the directory count', async () => {
    const nobody = { uid: 65534, gid: 65534 };
    await mount.output(
      'mkdir pairs/shut pairs/half; chmod 700 pairs/shut; chmod 600 pairs/half/0; chmod 622 pairs/half/1',
    );
    for (const script of ['cat pairs/shut/0', 'exec 3<>pairs/half/0', 'cat pairs/half/1']) {
      const { status, stderr } = await mount.sh(script, nobody);
      expect([script, status === 0, stderr]).toEqual([
        script,
        false,
        expect.stringContaining('Permission denied'),
      ]);
    }
    await mount.output('echo > pairs/half/1', nobody);
    await mount.output('mkdir pairs/mine; exec 3<>pairs/mine/0', nobody);
    await mount.output('rmdir pairs/shut pairs/half pairs/mine');
  });

  test('an end is no pipe of pipes/: non-blocking reads of an empty one are EAGAIN, truncation does nothing', async () => {
    await mount.output('mkdir pairs/flags');
    const fd = await driver.open('pairs/flags/0', 'rwn');
    expect((await driver.read(fd, 1)).result).toBe(EAGAIN);
    const one = await openEnd('pairs/flags/1');
    await driver.write(one, 'kept');
    await mount.output(': >> pairs/flags/0; truncate -s 0 pairs/flags/0');
    expect((await driver.read(fd, 10)).text).toBe('kept');
    await driver.close(fd);
    await driver.close(one);
    await mount.output('rmdir pairs/flags');
  });

  test('when the budget of pipe memory is used up, mkdir says so and the mount goes on', async () => {
    const small = await TestMount.start(['--sysctl', 'kern.ipc.maxpipekva=64K']);
    try {
      const script =
        'cd pairs; for number in {1..20}; do mkdir $number || break; done 2>&1; ls | wc -l; rmdir *; mkdir again';
      expect(await small.output(script)).toMatch(
        /^mkdir: cannot create directory .*Cannot allocate memory\n[45]\n$/,
      );
      expect(await small.sysctl('kern.ipc.pipeallocfail')).toBeGreaterThan(0);
    } finally {
      await small.stop();
    }
  });
});
