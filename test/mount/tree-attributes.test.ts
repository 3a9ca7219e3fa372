import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

describeMount('modes, owners and times', () => {
  let mount: TestMount;
  const nobody = { uid: 65534, gid: 65534 };
  const other = { uid: 1234, gid: 1234 };
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  /** What a script says that must fail for that user. */
  async function refusal(script: string, user = nobody): Promise<string> {
    const { status, stderr } = await mount.sh(script, user);
    expect([script, status === 0 ? 'succeeded' : 'failed']).toEqual([script, 'failed']);
    return stderr;
  }

  test('the fixed directories', async () => {
    const directories = '. pipes pairs sysctl sysctl/kern/ipc info';
    expect(await mount.output(`stat -c '%n %a %u:%g' ${directories}`)).toBe(
      '. 755 0:0\npipes 1777 0:0\npairs 1777 0:0\nsysctl 755 0:0\nsysctl/kern/ipc 755 0:0\ninfo 555 0:0\n',
    );
  });

  test('chmod, chown and chgrp', async () => {
    const script = `cd pipes; mkfifo c; mkdir d
      chmod 4751 c; chown 12:34 c; chgrp 56 d; chmod 3710 d
      stat -c '%n %a %u:%g' c d; chmod a-x,u+w c; stat -c %a c`;
    expect(await mount.output(script)).toMatch(/^c 4?751 12:34\nd 3710 0:56\n4?640\n$/);
  });

  test('chown takes set-id bits from a pipe, and not from a directory', async () => {
    const script = `cd pipes; mkfifo s; mkdir sd; chmod 6755 s sd; chown 12:34 s sd; stat -c '%n %a' s sd
      chmod 2744 s; chgrp 5 s; stat -c %a s; rm -r s sd`;
    expect(await mount.output(script)).toBe('s 755\nsd 6755\n2744\n');
  });

  test('the umask of the maker counts', async () => {
    const script = `cd pipes
      umask 027; mkfifo u1; : > u2; mkdir u3; umask 0; mkfifo -m 666 u4; touch u5; mkdir u6; umask 777; mkfifo u7
      stat -c '%n %a' u[1-7]`;
    expect(await mount.output(script)).toBe('u1 640\nu2 640\nu3 750\nu4 666\nu5 666\nu6 777\nu7 0\n');
  });

  test('new names belong to who makes them', async () => {
    const script =
      "cd pipes; mkfifo m1; : > m2; mkdir m3; ln -s x m4; mkdir ../pairs/m5; stat -c '%n %u:%g' m[1-4] ../pairs/m5/0";
    const owners = ['m1', 'm2', 'm3', 'm4', '../pairs/m5/0'].map((name) => `${name} 65534:65534\n`);
    expect(await mount.output(script, nobody)).toBe(owners.join(''));
  });

  test('a set-group-id directory gives its group to what is made in it', async () => {
    const script = `cd pipes; mkdir sg; chgrp 77 sg; chmod 2777 sg; cd sg
      mkfifo a; mkdir d; mkfifo d/b; stat -c '%n %a %g' a d d/b`;
    expect(await mount.output(script)).toBe('a 644 77\nd 2755 77\nd/b 644 77\n');
  });

  test('times are kept to the nanosecond, before 1970 too', async () => {
    const script = `export TZ=UTC; cd pipes; mkfifo t; mkdir td; ln -s t tl
      touch -d '2001-02-03 04:05:06.123456789' t td
      touch -h -d '1969-12-31 23:59:58.000000001' tl
      touch -a -d '1901-01-01 00:00:00.5' t
      stat -c '%n %x %y' t; stat -c '%n %y' td tl`;
    expect(await mount.output(script)).toBe(
      't 1901-01-01 00:00:00.500000000 +0000 2001-02-03 04:05:06.123456789 +0000\n' +
        'td 2001-02-03 04:05:06.123456789 +0000\ntl 1969-12-31 23:59:58.000000001 +0000\n',
    );
  });

  test('making and removing names stamps the directory; chmod stamps the change', async () => {
    const script = `cd pipes; mkdir st; cd st; for change in 'mkfifo a' 'ln a b' 'mv b c' 'rm c' 'mkdir d' 'rmdir d'; do
        touch -d @1000 .; $change; [ $(stat -c %Y .) -gt 1000 ] || echo "not stamped: $change"
      done
      touch -d @1000 a; before=$(stat -c %.Z a); until chmod 600 a; [ $(stat -c %.Z a) != $before ]; do :; done; stat -c %Y a`;
    expect(await mount.output(script)).toBe('1000\n');
  });

  test('who may not read or write is told so, before anything waits', async () => {
    await mount.output(
      'cd pipes; mkfifo secret; chmod 600 secret; mkfifo drop; chmod 622 drop; mkfifo group; chmod 660 group; chgrp 1234 group',
    );
    expect(await refusal('cat pipes/secret')).toContain('Permission denied');
    expect(await refusal('echo > pipes/secret')).toContain('Permission denied');
    expect(await refusal('cat pipes/drop')).toContain('Permission denied');
    expect(await refusal('exec 3<>pipes/drop')).toContain('Permission denied');
    expect(await refusal('exec 3<>pipes/group')).toContain('Permission denied');
    await mount.output('exec 3<>pipes/group', other);
    const reader = mount.start('cat pipes/drop');
    await mount.output('echo from nobody > pipes/drop', nobody);
    expect((await reader.finished()).stdout).toBe('from nobody\n');
  });

  test('a mode that changes counts for the next open, and not for those that are', async () => {
    await mount.output('mkfifo -m 666 pipes/changes');
    const driver = await mount.driver(nobody);
    const fd = await driver.open('pipes/changes', 'rw');
    await mount.output('chmod 0 pipes/changes');
    expect(await refusal('exec 3<>pipes/changes')).toContain('Permission denied');
    await driver.write(fd, 'still');
    expect((await driver.read(fd, 10)).text).toBe('still');
    await mount.output('chmod 666 pipes/changes');
    await mount.output('exec 3<>pipes/changes', nobody);
  });

  test('directories: search, listing and writing', async () => {
    await mount.output(
      'cd pipes; mkdir closed listed searched; mkfifo -m 666 {closed,listed,searched}/a; chmod 700 closed; chmod 744 listed; chmod 711 searched',
    );
    expect(await refusal('stat pipes/closed/a')).toContain('Permission denied');
    expect(await refusal('ls pipes/closed')).toContain('Permission denied');
    expect(await refusal('stat pipes/listed/a')).toContain('Permission denied');
    expect(await refusal('ls pipes/searched')).toContain('Permission denied');
    await mount.output('ls pipes/listed; stat pipes/searched/a; exec 3<>pipes/searched/a', nobody);
    expect(await refusal('mkfifo pipes/searched/b')).toContain('Permission denied');
    expect(await refusal('rm -f pipes/searched/a')).toContain('Permission denied');
  });

  test('in a sticky directory only owners remove and rename', async () => {
    await mount.output(
      'cd pipes; mkfifo -m 666 mine; mkdir mydir; ln -s x mylink; mkdir ../pairs/mine',
      other,
    );
    await mount.output('mkfifo pipes/theirs', nobody);
    for (const script of [
      'rm -f pipes/mine',
      'mv pipes/mine pipes/renamed',
      'mv -f pipes/theirs pipes/mine',
      'rmdir pipes/mydir',
      'rm pipes/mylink',
      'rmdir pairs/mine',
      'mv pairs/mine pairs/renamed',
    ]) {
      expect(await refusal(script)).toMatch(/Operation not permitted|Permission denied/);
    }
    await mount.output('cd pipes; mv mine own; rm own mylink; rmdir mydir ../pairs/mine', other);
    // Without the bit, whoever may write may remove.
    await mount.output('mkdir -m 777 pipes/free; mkfifo pipes/free/a', other);
    await mount.output('rm -f pipes/free/a', nobody);
  });

  test('only owners change modes and times; only root changes owners', async () => {
    await mount.output('mkfifo -m 666 pipes/owned', other);
    expect(await refusal('chmod 600 pipes/owned')).toContain('Operation not permitted');
    expect(await refusal('touch -c -h -d @5 pipes/owned')).toContain('Operation not permitted');
    expect(await refusal('chown 65534 pipes/owned', other)).toContain('Operation not permitted');
    expect(await refusal('chgrp 5 pipes/owned', other)).toContain('Operation not permitted');
    await mount.output('touch pipes/owned', nobody);
    await mount.output('chmod 640 pipes/owned; chgrp 1234 pipes/owned; touch -d @5 pipes/owned', other);
    expect(await mount.output("stat -c '%a %u:%g %Y' pipes/owned")).toBe('640 1234:1234 5\n');
  });
});
