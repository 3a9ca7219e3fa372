import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { asUser, bob } from '../support/users.ts';

describeMount('programs that copy, touch and look at segments', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  const copiers = [
    'cp "$1" "$2"',
    `"${process.execPath}" -e 'require("fs").copyFileSync(process.argv[1], process.argv[2])' "$1" "$2"`,
  ];

  test.each(copiers)('%s makes a segment of the size of the file', async (copier) => {
    const script = `copy() { ${copier}; }; file=$(mktemp); seq 3000 > $file
      copy $file shm/0x21 && cmp $file shm/0x21 && stat -c %s shm/0x21; rm -f $file shm/0x21`;
    expect(await mount.output(script)).toBe('13893\n');
  });

  test.each(copiers)('%s writes into a segment that exists, whose size stays', async (copier) => {
    const script = `copy() { ${copier}; }; file=$(mktemp); printf 12345 > $file; printf abcdefgh > shm/0x22
      copy $file shm/0x22 && cat shm/0x22; rm -f $file shm/0x22`;
    expect(await mount.output(script)).toBe('12345fgh');
  });

  test('cp of a longer file fills a segment that exists, and fails with ENOSPC', async () => {
    const { stdout, stderr } = await mount.sh(
      'printf abc > shm/0x22; echo 12345 | cp /dev/stdin shm/0x22; cat shm/0x22',
    );
    expect([stdout, stderr]).toEqual(['123', expect.stringContaining('No space left') as string]);
    await mount.output('rm shm/0x22');
  });

  test('S46: st_mtime moves by a write and by touch, and not by a read; dtime moves by a close', async () => {
    const script = `
      look() { stat -c %.9Y shm/0x23; }
      printf abc > shm/0x23; made=$(look); sleep 0.02
      cat shm/0x23 > /dev/null; : < shm/0x23; [ $(look) = $made ] && echo read
      printf x | dd of=shm/0x23 conv=notrunc status=none; [ $(look) != $made ] && echo write
      touch -d @1000.5 shm/0x23; stat -c '%.1X %.1Y' shm/0x23
      cat shm/0x23 > /dev/null; stat -c %.1Y shm/0x23; [ $(stat -c %X shm/0x23) != 1000 ] && echo attached
      awk 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i } NR == 2 { print ($column["dtime"] > 1000000) }' info/shm
      rm shm/0x23`;
    const directory = await mount.output(script);
    expect(directory).toBe('read\nwrite\n1000.5 1000.5\n1000.5\nattached\n1\n');
  });

  test('touch of a new key leaves nothing, of a bad name is EINVAL; a bad name does not exist', async () => {
    expect(await mount.output('touch shm/0x24; ls shm')).toBe('ctl\nid\n');
    const { stderr } = await mount.sh('touch shm/frob; cat shm/frob; rm shm/frob');
    expect(stderr.match(/Invalid argument|No such file/g)).toEqual([
      'Invalid argument',
      'No such file',
      'No such file',
    ]);
  });

  test('links: EPERM within a tree that has none, EXDEV to another, EEXIST where the name is taken', async () => {
    await mount.output('printf a > shm/0x25; printf b > shm/0x26; mkfifo pipes/l');
    const attempt = async (to: string, from = 'shm/0x25'): Promise<string> =>
      (await mount.sh(`perl -e 'link($ARGV[0], $ARGV[1]) or print $!' ${from} ${to}`)).stdout;
    expect(await attempt('shm/0x27')).toBe('Operation not permitted');
    expect(await attempt('shm/frob')).toBe('Operation not permitted');
    expect(await attempt('pipes/x')).toBe('Invalid cross-device link');
    expect(await attempt('shm/0x27', 'pipes/l')).toBe('Invalid cross-device link');
    expect(await attempt('shm/0x26')).toBe('File exists');
    await mount.output('rm shm/0x25 shm/0x26 pipes/l');
  });

  test('rename of a name to itself, or to another name of the file, succeeds for whoever may look', async () => {
    await mount.output('umask 0; printf a > shm/0x28; mkfifo pipes/r; ln pipes/r pipes/r2; mkdir pairs/r');
    for (const [from, to] of [
      ['shm/0x28', 'shm/0x28'],
      ['pipes/r', 'pipes/r'],
      ['pipes/r', 'pipes/r2'],
      ['pairs/r', 'pairs/r'],
    ] as const) {
      const rename = asUser(bob, `perl -e 'rename($ARGV[0], $ARGV[1]) or print $!' ${from} ${to}`);
      expect([from, to, (await mount.sh(rename)).stdout]).toEqual([from, to, '']);
    }
    const move = asUser(bob, `perl -e 'rename("pipes/r", "pipes/other") or print $!'`);
    expect((await mount.sh(move)).stdout).toBe('Operation not permitted');
    expect(await mount.output('ls pipes')).toBe('r\nr2\n');
    // Each open still has a kernel inode of its own.
    expect(await mount.output('exec 3<>pipes/r 4<>pipes/r; [ -e pipes/r ] && echo open')).toBe('open\n');
  });
});
