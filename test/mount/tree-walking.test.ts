import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

describeMount('tools that walk the tree, and pipes that are removed while open', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  test('ls, find, du, df and stat do not wait beside calls that do', async () => {
    await mount.output(
      'cd pipes; mkfifo opens-r opens-w reads writes; mkdir -p sub/sub; mkfifo sub/sub/a; mkdir ../pairs/p',
    );
    mount.start('cat pipes/opens-r');
    mount.start('echo > pipes/opens-w');
    mount.start('exec 3<>pipes/reads; cat <&3');
    mount.start('exec 3<>pipes/writes; exec head -c 1000000 /dev/zero >&3');
    await mount.untilBlocked('pipes/opens-r', 'fifoor');
    await mount.untilBlocked('pipes/opens-w', 'fifoow');
    await mount.untilBlocked('pipes/reads', 'piperd');
    await mount.untilBlocked('pipes/writes', 'pipdwt');
    const walkers = [
      'ls -lR',
      'ls -laZ pipes',
      'find . -size +0',
      'du -a',
      'df .',
      'stat -f .',
      'stat pipes/*',
      'tree || :',
    ];
    for (const walker of walkers) {
      const { status, stderr } = await mount.sh(walker, { timeoutMs: 5000 });
      expect([walker, status, stderr.replace(/.*tree: command not found\n/, '')]).toEqual([walker, 0, '']);
    }
  });

  test('names are made, changed and removed beside calls that wait', async () => {
    const script = `cd pipes; mkfifo beside; chmod 600 opens-r writes; touch -c reads; ln writes link; mv link moved
      stat -c %a opens-r writes; rm moved beside`;
    expect(await mount.output(script, { timeoutMs: 5000 })).toBe('600\n600\n');
  });

  test('the size of a pipe is what is queued in it, and takes no blocks from ls', async () => {
    const driver = await mount.driver();
    await mount.output('mkfifo pipes/sized');
    const fd = await driver.open('pipes/sized', 'rw');
    await driver.writePattern(fd, 5000);
    expect(await mount.output("stat -c '%s %b %B %o' pipes/sized")).toBe('5000 10 512 4096\n');
    expect(await mount.output('find pipes -size +4000c')).toContain('pipes/sized\n');
    await driver.read(fd, 4990);
    expect(await mount.output('stat -c %s pipes/sized')).toBe('10\n');
    await driver.close(fd);
    expect(await mount.output('stat -c %s pipes/sized')).toBe('0\n');
  });

  test('df and stat -f show pipe memory and count files', async () => {
    const maximum = await mount.sysctl('kern.ipc.maxpipekva');
    expect(await mount.output("df --output=source,fstype,size . | tail -1 | tr -s ' '")).toBe(
      `ipcfs fuse.ipcfs ${Math.floor(maximum / 4096) * 4}\n`,
    );
    const used = async (): Promise<number> =>
      (await mount.output("stat -f -c '%b %f' ."))
        .split(' ')
        .map(Number)
        .reduce((all, free) => all - free) * 4096;
    const before = await used();
    const driver = await mount.driver();
    await mount.output('mkfifo pipes/counted');
    const fd = await driver.open('pipes/counted', 'rw');
    expect(await used()).toBe(before + 20480);
    expect(await used()).toBe(await mount.sysctl('kern.ipc.pipekva'));
    await driver.close(fd);
    expect(await used()).toBe(before);
    const files = async (): Promise<number> => Number(await mount.output('df --output=iused . | tail -1'));
    const filesBefore = await files();
    await mount.output('mkfifo pipes/f{1..10}');
    expect(await files()).toBe(filesBefore + 10);
    await mount.output('rm pipes/f*; mkfifo pipes/f; ln pipes/f pipes/g; rm pipes/f');
    expect(await files()).toBe(filesBefore + 1);
    expect(await mount.output('df --output=ipcent . | tail -1 | tr -d " "')).toBe('1%\n');
    expect(await mount.output('stat -f -c %l .')).toBe('255\n');
  });

  test('a pipe that is removed while it is open goes on, and its name makes another one', async () => {
    const driver = await mount.driver();
    const removedOnes = async (): Promise<number> =>
      (await mount.table('handles')).filter((row) => row['path'] === '(removed)').length;
    const before = await removedOnes();
    await mount.output('mkfifo pipes/going');
    const fd = await driver.open('pipes/going', 'rw');
    await driver.write(fd, 'before');
    await mount.output('rm pipes/going; mkfifo pipes/going');
    expect((await driver.read(fd, 10)).text).toBe('before');
    await driver.write(fd, 'after');
    expect((await mount.pipe('pipes/going'))['cnt']).toBe(0);
    expect(await removedOnes()).toBe(before + 1);
    expect((await driver.read(fd, 10)).text).toBe('after');
    const { stat } = await driver.call({ call: 'fstat', fd });
    expect(stat?.nlink).toBe(0);
    await driver.close(fd);
    expect(await removedOnes()).toBe(before);
  });

  test('an open that waits in a pipe that is removed is not met by openers of its successor', async () => {
    await mount.output('mkfifo pipes/waiting');
    const reader = mount.start('cat pipes/waiting');
    await mount.untilBlocked('pipes/waiting', 'fifoor');
    await mount.output('rm pipes/waiting; mkfifo pipes/waiting');
    await mount.untilBlocked('(removed)', 'fifoor');
    const driver = await mount.driver();
    const flags = 0o4001;
    expect((await driver.call({ call: 'open', path: 'pipes/waiting', flags })).result).toBe(-6);
    reader.kill('SIGKILL');
    expect((await reader.finished()).signal).toBe('SIGKILL');
  });
});
