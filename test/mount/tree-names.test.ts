import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

describeMount('making, moving and removing names in pipes/', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  /** What a script that must fail says. */
  async function failure(script: string): Promise<string> {
    const { status, stderr } = await mount.sh(script);
    expect([script, status]).not.toEqual([script, 0]);
    return stderr;
  }

  test('mkfifo, mknod, touch and > make pipes', async () => {
    const script = `cd pipes
      mkfifo made-1; mknod made-2 p; touch made-3; : > made-4; : >> made-5
      stat -c '%n %F %a %s %o' made-*`;
    expect(await mount.output(script)).toBe(
      [1, 2, 3, 4, 5].map((number) => `made-${number} regular empty file 644 0 4096\n`).join(''),
    );
  });

  test('touch of a pipe that exists sets its time and does not wait', async () => {
    const script = 'cd pipes; mkfifo touched; touch -d @1000 touched; touch -c touched; stat -c %Y touched';
    expect(Number(await mount.output(script))).toBeGreaterThan(1_000_000_000);
  });

  test('what > writes into a pipe that it makes is kept for the first reader', async () => {
    const script = `cd pipes
      for round in {1..50}; do
        echo "data $round" > new-$round &
        until [ -e new-$round ]; do :; done
        cat new-$round
        wait
      done`;
    const expected = Array.from({ length: 50 }, (_, index) => `data ${index + 1}\n`).join('');
    expect(await mount.output(script)).toBe(expected);
  });

  test('what cannot be made: devices, and a name that is there', async () => {
    expect(await failure('mknod pipes/device c 1 3')).toContain('Operation not permitted');
    await mount.output('mkfifo pipes/twice');
    expect(await failure('mkfifo pipes/twice')).toContain('File exists');
    expect(await failure('mkdir pipes/twice')).toContain('File exists');
    expect(await failure('ln -s x pipes/twice')).toContain('File exists');
    expect(await failure('mkfifo pipes/no-directory/a')).toContain('No such file or directory');
    expect(await failure('mkfifo pipes/twice/a')).toContain('Not a directory');
  });

  test('mkdir and rmdir: a directory that holds something stays', async () => {
    await mount.output('mkdir -p pipes/dir/sub; mkfifo pipes/dir/sub/a');
    expect(await mount.output('stat -c "%F %h" pipes/dir pipes/dir/sub')).toBe('directory 3\ndirectory 2\n');
    expect(await failure('rmdir pipes/dir/sub')).toContain('Directory not empty');
    expect(await failure('rmdir pipes/dir/sub/a')).toContain('Not a directory');
    expect(await failure('rm pipes/dir/sub')).toContain('Is a directory');
    await mount.output('rm pipes/dir/sub/a; rmdir pipes/dir/sub pipes/dir');
    expect(await failure('ls pipes/dir')).toContain('No such file or directory');
  });

  test('a directory that is removed while somebody works in it takes no names', async () => {
    const script = 'mkdir pipes/gone; cd pipes/gone; rmdir ../gone; ls -a; mkfifo a';
    expect(await failure(script)).toMatch(/cannot create fifo 'a': No such file or directory/);
  });

  test('mv keeps the pipe, over another one and across directories', async () => {
    const script = `cd pipes; mkdir from to; mkfifo from/a to/b
      inode=$(stat -c %i from/a)
      mv from/a to/b
      [ $(stat -c %i to/b) = $inode ] && ls from to
      mv to moved; stat -c '%n %h' from moved; ls moved`;
    expect(await mount.output(script)).toBe('from:\n\nto:\nb\nfrom 2\nmoved 2\nb\n');
  });

  test('mv of a pipe while it is open: reader and writer go on', async () => {
    const driver = await mount.driver();
    await mount.output('mkfifo pipes/old-name');
    const fd = await driver.open('pipes/old-name', 'rw');
    await mount.output('mv pipes/old-name pipes/new-name');
    const writer = await mount.driver();
    const other = await writer.open('pipes/new-name', 'w');
    await writer.write(other, 'moved');
    expect((await driver.read(fd, 10)).text).toBe('moved');
    expect((await mount.pipe('pipes/new-name'))['writers']).toBe(2);
  });

  test('mv between what does not fit', async () => {
    await mount.output('cd pipes; mkdir -p outer/inner full/x empty; mkfifo plain');
    expect(await failure('cd pipes; mv outer outer/inner')).toContain('to a subdirectory of itself');
    expect(await failure('cd pipes; mv -T outer full')).toMatch(/Directory not empty|File exists/);
    expect(await failure('cd pipes; mv -T plain empty')).toContain('cannot overwrite directory');
    expect(await failure('cd pipes; mv -T empty plain')).toContain('cannot overwrite non-directory');
    await mount.output('cd pipes; mv -T outer empty; [ -d empty/inner ] && [ ! -e outer ]');
    await mount.output('cd pipes; mv full/x .; mkfifo keep other; mv -n keep other; ls keep other');
  });

  test('renameat2: NOREPLACE, EXCHANGE, a directory into itself', async () => {
    const driver = await mount.driver();
    const rename = async (from: string, to: string, flags: number): Promise<number> =>
      (await driver.call({ call: 'renameat2', from: `pipes/${from}`, to: `pipes/${to}`, flags })).result;
    await mount.output('cd pipes; mkfifo ex-a; mkdir -p ex-d/sub; mkfifo ex-d/sub/b');
    expect(await rename('ex-a', 'ex-d', 1)).toBe(-17);
    expect(await rename('ex-a', 'ex-c', 1)).toBe(0);
    expect(await rename('ex-c', 'ex-d/sub', 2)).toBe(0);
    const after = await mount.output('cd pipes; find ex-c ex-d | sort; stat -c "%n %h" ex-c ex-d');
    expect(after).toBe('ex-c\nex-c/b\nex-d\nex-d/sub\nex-c 2\nex-d 2\n');
    expect(await rename('ex-c', 'none', 2)).toBe(-2);
    expect(await rename('ex-d', 'ex-d/sub', 2)).toBe(-22);
    expect(await rename('ex-d', 'ex-d/new', 0)).toBe(-22);
  });

  test('hard links are names of one pipe', async () => {
    const script = `cd pipes; mkdir linked; mkfifo first; ln first linked/second
      [ first -ef linked/second ] && stat -c %h first
      echo through > linked/second & cat first; wait
      rm first; stat -c %h linked/second; mv -T linked/second third; ls linked`;
    expect(await mount.output(script)).toBe('2\nthrough\n1\n');
    expect(await failure('ln pipes/linked pipes/dir-link')).toContain('not allowed for directory');
  });

  test('rename of one name over another of the same pipe leaves both', async () => {
    const driver = await mount.driver();
    await mount.output('cd pipes; mkfifo same-1; ln same-1 same-2');
    const call = { call: 'renameat2', from: 'pipes/same-1', to: 'pipes/same-2', flags: 0 } as const;
    expect((await driver.call(call)).result).toBe(0);
    expect(await mount.output('cd pipes; stat -c "%n %h" same-*')).toBe('same-1 2\nsame-2 2\n');
  });

  test('symbolic links point where they say', async () => {
    const target = 'x'.repeat(1000) + '/ü';
    const script = `cd pipes; mkfifo target; ln -s target link; ln -s '${target}' long; ln -s . loop
      readlink link long; stat -c '%F %a %s' link
      echo over > link & cat loop/loop/target; wait; rm link; [ -e target ] && echo kept`;
    expect(await mount.output(script)).toBe(
      `target\n${Buffer.from(target).toString('latin1')}\nsymbolic link 777 6\nover\nkept\n`,
    );
  });

  test('links and moves between trees are refused', async () => {
    await mount.output('mkfifo pipes/cross; mkdir pairs/cross');
    expect(await failure('ln pipes/cross pairs/link')).toContain('cross-device');
    expect(await failure('ln sysctl/kern/ipc/pipe_buf pipes/link')).toContain('cross-device');
    const driver = await mount.driver();
    const move = { call: 'renameat2', from: 'pairs/cross', to: 'pipes/pair', flags: 0 } as const;
    expect((await driver.call(move)).result).toBe(-18);
    expect((await driver.call({ ...move, flags: 2 })).result).toBe(-2);
  });

  test('what has a fixed name is not moved, and mv does not copy it', async () => {
    await mount.output('mkdir pairs/fixed');
    for (const name of ['pairs', 'pairs/fixed/0', 'info/pipes', 'sysctl/kern/ipc/pipe_buf']) {
      expect(await failure(`mv ${name} pipes/taken`)).toContain('Operation not permitted');
    }
    const made = 'mkfifo a; mkdir d; touch info/new; ln -s x y';
    expect((await mount.sh(made)).stderr.match(/Operation not permitted/g)?.length).toBe(4);
    expect(await failure('touch sysctl/new')).toContain('No such file or directory');
    expect(await failure('rm -r info')).not.toContain('removed');
    expect(await mount.output('ls')).toBe(
      'ctl\ninfo\nkqueue\nkqueue.bin\nkqueues\npairs\npipes\nshm\nsysctl\n',
    );
    // The ends are as they were: opening one still works.
    await mount.output('exec 3<>pairs/fixed/0');
  });

  test('rm -r takes a tree away', async () => {
    const script = `cd pipes; mkdir -p tree/{a,b}/{c,d}; mkfifo tree/{a,b}/{c,d}/{1,2,3}; ln -s .. tree/up
      find tree | wc -l; rm -r tree; ls -d tree* | wc -l`;
    expect(await mount.output(script)).toBe('20\n0\n');
  });
});
