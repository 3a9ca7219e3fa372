import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { TextQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';

const ALL = 'delete write extend attrib link rename revoke clear';

describeMount('VNODE notes of the tree', () => {
  let mount: TestMount;
  let a: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    a = await mount.driver();
  });
  afterAll(() => mount.stop());

  /** Watches paths, runs a script, and gives the notes of each that has some. */
  async function notes(paths: readonly string[], script: string): Promise<Record<string, string>> {
    const queue = await TextQueue.open(a);
    expect(await queue.after(...paths.map((path) => `add vnode ${path} ${ALL}`))).toEqual([]);
    await mount.output(script);
    const found: Record<string, string> = {};
    for (const line of await queue.take()) {
      const [, path, , , fflags] = line.split(' ');
      found[path!] = fflags!.slice('fflags='.length);
    }
    expect(await queue.take()).toEqual([]);
    await queue.close();
    return found;
  }

  test('K113: notes add up until they are told; without clear they are told again', async () => {
    const path = await mount.fifo('adds-up');
    const edge = await TextQueue.open(a);
    const level = await TextQueue.open(a);
    await edge.change(`add vnode ${path} attrib rename clear udata=e`);
    await level.change(`add vnode ${path} attrib`);
    await mount.output(`chmod 600 ${path}; mv ${path} ${path}2; ln ${path}2 ${path}`);
    expect(await edge.take()).toEqual([`vnode ${path} data=0 flags=clear fflags=attrib,rename udata=e`]);
    expect(await edge.take()).toEqual([]);
    const line = `vnode ${path} data=0 flags=- fflags=attrib udata=-`;
    for (let round = 0; round < 3; round++) expect(await level.take()).toEqual([line]);
  });

  test('K114: a write to a pipe is WRITE and EXTEND, chmod, chown and touch are ATTRIB', async () => {
    const path = await mount.fifo('written');
    const holder = await a.open(path, 'rwn');
    expect(await notes([path, 'pipes'], `echo x > ${path}`)).toEqual({ [path]: 'extend,write' });
    for (const change of ['chmod 640', 'chown 1:1', 'touch -m']) {
      expect(await notes([path, 'pipes'], `${change} ${path}`)).toEqual({ [path]: 'attrib' });
    }
    await a.close(holder);
  });

  test('K114: making a pipe, a link or a symbolic link writes its directory', async () => {
    await mount.output('mkdir pipes/made; mkfifo pipes/made/old');
    const watched = ['pipes/made', 'pipes/made/old', 'pipes'];
    expect(await notes(watched, 'mkfifo pipes/made/a')).toEqual({ 'pipes/made': 'write' });
    expect(await notes(watched, 'ln -s a pipes/made/s')).toEqual({ 'pipes/made': 'write' });
    expect(await notes(watched, 'ln pipes/made/old pipes/made/l')).toEqual({
      'pipes/made': 'write',
      'pipes/made/old': 'link',
    });
  });

  test('K114: unlink is DELETE on the node and WRITE on its directory', async () => {
    await mount.output('mkdir pipes/gone; mkfifo pipes/gone/a');
    expect(await notes(['pipes/gone', 'pipes/gone/a'], 'rm pipes/gone/a')).toEqual({
      'pipes/gone': 'write',
      'pipes/gone/a': 'delete',
    });
  });

  test('K114: rename is RENAME on what moves, WRITE on both directories, DELETE on what is replaced', async () => {
    await mount.output('mkdir pipes/from pipes/to; mkfifo pipes/from/a pipes/to/b');
    expect(
      await notes(['pipes/from', 'pipes/from/a', 'pipes/to', 'pipes/to/b'], 'mv pipes/from/a pipes/to/b'),
    ).toEqual({
      'pipes/from': 'write',
      'pipes/from/a': 'rename',
      'pipes/to': 'write',
      'pipes/to/b': 'delete',
    });
    expect(await notes(['pipes/to', 'pipes/to/b'], 'mv pipes/to/b pipes/to/c')).toEqual({
      'pipes/to': 'write',
      'pipes/to/b': 'rename',
    });
  });

  test('K114: mkdir and rmdir are WRITE and LINK on the parent', async () => {
    for (const parent of ['pipes', 'pairs']) {
      expect(await notes([parent], `mkdir ${parent}/sub`)).toEqual({ [parent]: 'link,write' });
      expect(await notes([parent, `${parent}/sub`], `rmdir ${parent}/sub`)).toEqual({
        [parent]: 'link,write',
        [`${parent}/sub`]: 'delete',
      });
    }
  });

  test('K114: segments and named queues are nodes too', async () => {
    const directories = ['shm', 'shm/id', 'kqueues'];
    expect(await notes(directories, 'truncate -s 64K shm/0x1234; touch kqueues/q')).toEqual({
      shm: 'write',
      'shm/id': 'write',
      kqueues: 'write',
    });
    const watched = [...directories, 'shm/0x1234', 'kqueues/q'];
    expect(await notes(watched, 'chmod 600 shm/0x1234 kqueues/q')).toEqual({
      'shm/0x1234': 'attrib',
      'kqueues/q': 'attrib',
    });
    expect(await notes(watched, 'printf x | dd of=shm/0x1234 conv=notrunc status=none')).toEqual({
      'shm/0x1234': 'write',
    });
    expect(await notes(watched, 'rm shm/0x1234 kqueues/q')).toEqual({
      shm: 'write',
      'shm/id': 'write',
      'shm/0x1234': 'delete',
      kqueues: 'write',
      'kqueues/q': 'delete',
    });
  });

  test('K114: what comes and goes by shm/ctl is told to shm, shm/id and the segment', async () => {
    const dirs = ['shm', 'shm/id'];
    const ask = (request: string) => `exec 3<>shm/ctl; echo '${request}' >&3; cat <&3`;
    expect(await notes(dirs, ask('get 0x51 8K create'))).toEqual({ shm: 'write', 'shm/id': 'write' });
    expect(await notes(dirs, ask('get 0x51 8K'))).toEqual({});
    expect(await notes(dirs, ask('get private 8K create'))).toEqual({ 'shm/id': 'write' });
    const keyed = (await mount.table('shm')).find(({ key }) => key === '0x00000051')!['id']!;
    const segment = [`shm/0x51`, `shm/id/${keyed}`];
    expect(await notes([...dirs, ...segment], ask(`set ${keyed} mode=0644`))).toEqual({
      [segment[0]!]: 'attrib',
      [segment[1]!]: 'attrib',
    });
    expect(await notes([...dirs, ...segment], ask(`rmid ${keyed}`))).toEqual({
      shm: 'write',
      'shm/id': 'write',
      [segment[0]!]: 'delete',
      [segment[1]!]: 'delete',
    });
    expect(await notes(dirs, 'rm shm/id/*')).toEqual({ 'shm/id': 'write' });
  });

  test('K114: a lingering segment leaves shm with its removal, and shm/id with its last detach', async () => {
    const dirs = ['shm', 'shm/id'];
    await mount.output(`exec 3<>shm/ctl; echo 'get 0x52 8K create linger' >&3`);
    const fd = await a.open('shm/0x52', 'r');
    expect(await notes([...dirs, 'shm/0x52'], 'rm shm/0x52')).toEqual({ shm: 'write', 'shm/0x52': 'delete' });
    const queue = await TextQueue.open(a);
    await queue.change('add vnode shm/id write clear');
    expect(await queue.take()).toEqual([]);
    await a.close(fd);
    expect(await queue.next()).toEqual(['vnode shm/id data=0 flags=clear fflags=write udata=-']);
  });

  test('K114: a segment that is made by opening shows its key at once, its id with its size, and goes without one', async () => {
    const watched = ['shm', 'shm/id'];
    const queue = await TextQueue.open(a);
    await queue.change(...watched.map((path) => `add vnode ${path} ${ALL}`));
    const O_CREAT = 0o100;
    const told = async () => (await queue.take()).map((line) => line.split(' ')[1]);
    const made = await a.open('shm/0x53', 'rw', O_CREAT);
    expect(await told()).toEqual(['shm']);
    await queue.change(`add vnode shm/0x53 ${ALL}`);
    await a.call({ call: 'ftruncate', fd: made, size: 4096 });
    expect((await queue.take()).sort()).toEqual([
      'vnode shm/0x53 data=0 flags=clear fflags=extend,write udata=-',
      'vnode shm/id data=0 flags=clear fflags=write udata=-',
    ]);
    await a.close(made);
    const abandoned = await a.open('shm/0x54', 'rw', O_CREAT);
    expect(await told()).toEqual(['shm']);
    await queue.change(`add vnode shm/0x54 delete`);
    await a.close(abandoned);
    expect((await queue.next()).sort()).toEqual([
      'vnode shm data=0 flags=clear fflags=write udata=-',
      'vnode shm/0x54 data=0 flags=oneshot fflags=delete udata=-',
    ]);
    expect(await mount.output('ls shm/id | wc -l; rm shm/0x53')).toBe('1\n');
  });

  test('K114: the times of shm and shm/id say when names have changed', async () => {
    const times = async () => (await mount.output('stat -c "%.9Y %.9Z" shm shm/id')).trimEnd().split(/\s+/);
    const before = await times();
    await mount.output('truncate -s 4K shm/0x55');
    const made = await times();
    await mount.output('rm shm/0x55');
    const removed = await times();
    expect(before).toHaveLength(4);
    for (const index of before.keys()) {
      expect(Number(made[index])).toBeGreaterThan(Number(before[index]));
      expect(Number(removed[index])).toBeGreaterThan(Number(made[index]));
    }
  });

  test('K114: a write to a setting is a WRITE on its file', async () => {
    const path = 'sysctl/kern/kq_checkloop';
    expect(await notes([path], `echo 1000000 > ${path}`)).toEqual({ [path]: 'write' });
  });

  test('K113, K122: a note that was not asked for is not told, and enabling keeps what was asked for', async () => {
    const path = await mount.fifo('asked');
    const queue = await TextQueue.open(a);
    await queue.change(`add vnode ${path} attrib clear`);
    await mount.output(`ln ${path} ${path}2`);
    expect(await queue.take()).toEqual([]);
    await queue.change(`disable vnode ${path}`);
    await mount.output(`chmod 600 ${path}`);
    expect(await queue.take()).toEqual([]);
    expect(await queue.after(`enable vnode ${path}`)).toEqual([
      `vnode ${path} data=0 flags=clear fflags=attrib udata=-`,
    ]);
    await mount.output(`ln ${path} ${path}3; chmod 640 ${path}`);
    expect(await queue.after(`modify vnode ${path} link attrib`)).toEqual([
      `vnode ${path} data=0 flags=clear fflags=attrib udata=-`,
    ]);
    await mount.output(`ln ${path} ${path}4`);
    expect(await queue.take()).toEqual([`vnode ${path} data=0 flags=clear fflags=link udata=-`]);
  });

  test('K116: READ on a segment is its size, WRITE is always ready', async () => {
    await mount.output('truncate -s 8192 shm/0x77');
    const queue = await TextQueue.open(a);
    expect(await queue.after('add read shm/0x77', 'add write shm/0x77')).toEqual([
      'read shm/0x77 data=8192 flags=- fflags=0 udata=-',
      'write shm/0x77 data=0 flags=- fflags=0 udata=-',
    ]);
    const fd = await a.open('shm/0x77', 'r');
    await queue.change('delete read shm/0x77', 'delete write shm/0x77');
    expect(await queue.after(`add read fd:${fd}`)).toEqual([
      `read fd:${fd} data=8192 flags=- fflags=0 udata=-`,
    ]);
  });

  test('P96: VNODE works on the descriptor of a pipe, too', async () => {
    const path = await mount.fifo('descriptor');
    const fd = await a.open(path, 'rwn');
    const queue = await TextQueue.open(a);
    await queue.change(`add vnode fd:${fd} write attrib clear`);
    await a.write(fd, 'x');
    expect(await queue.take()).toEqual([`vnode fd:${fd} data=0 flags=clear fflags=extend,write udata=-`]);
    await a.call({ call: 'fchmod', fd, mode: 0o600 });
    expect(await queue.take()).toEqual([`vnode fd:${fd} data=0 flags=clear fflags=attrib udata=-`]);
  });
});
