import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { ControlFile, nobody, PAGE, removeAll, segmentRow } from '../support/shm-files.ts';

describeMount('shm/ctl', () => {
  let mount: TestMount;
  let control: ControlFile;
  beforeAll(async () => {
    mount = await TestMount.start();
    control = await ControlFile.open(mount);
  });
  afterAll(() => mount.stop());
  afterEach(() => removeAll(mount));

  test('S1, S2, S3, S5: ids count the uses of slots, and old ones mean nothing', async () => {
    const fresh = await TestMount.start();
    const own = await ControlFile.open(fresh);
    const ids = [];
    for (let index = 0; index < 3; index++) ids.push(await own.id('get private 1'));
    expect(ids).toEqual([65536, 65537, 65538]);
    expect(await own.ask('rmid 65537')).toBe('ok');
    expect(await own.ask('rmid 65536')).toBe('ok');
    const again = [];
    for (let index = 0; index < 3; index++) again.push(await own.id('get private 1'));
    expect(again).toEqual([131072, 131073, 65539]);
    for (const id of [65536, 65537, -1, -65536, 65664, 2 ** 31, 2 ** 53 - 1]) {
      expect([id, await own.ask(`stat ${id}`)]).toEqual([id, 'error EINVAL']);
    }
    await fresh.stop();
  });

  test('S2: after 32768 creations in a slot its id is 0, which can be attached', async () => {
    const fresh = await TestMount.start();
    const own = await ControlFile.open(fresh);
    const ROUNDS_AT_ONCE = 256;
    let next = 65536;
    for (let left = 32767; left > 0;) {
      const rounds = Math.min(left, ROUNDS_AT_ONCE);
      let requests = '';
      for (let index = 0; index < rounds; index++, next += 65536) {
        requests += `get private 1\nrmid ${next}\n`;
      }
      const answers = await own.askAll(requests);
      expect(answers.endsWith(`ok ${next - 65536}\nok\n`)).toBe(true);
      left -= rounds;
    }
    expect(await own.ask('get private 1')).toBe('ok 0');
    expect(await own.ask('attach 0')).toBe('ok');
    expect((await own.stat(0))['nattch']).toBe('1');
    await fresh.stop();
  });

  test('S8, S9, S20: private always creates, a key needs the word', async () => {
    expect(await control.ask('get 77 4096')).toBe('error ENOENT');
    const first = await control.id('get private 4096');
    expect(await control.id('get private 4096 create')).not.toBe(first);
    expect(await mount.output('ls shm')).toBe('ctl\nid\n');
    expect((await mount.output('ls shm/id | wc -l')).trim()).toBe('2');
    const keyed = await control.id('get 77 4096 create');
    expect(await mount.output('ls shm')).toBe('0x0000004d\nctl\nid\n');
    expect(await control.id('get 0x4d 4096')).toBe(keyed);
  });

  test('S14, S15, S53: a new segment has the mode, ids, size and times that it should', async () => {
    const before = Math.floor(Date.now() / 1000);
    const own = await ControlFile.open(mount, nobody);
    const id = await own.id('get 0x10 5000 create 7777');
    const { ctime, ...fields } = await own.stat(id);
    expect(fields).toEqual({
      key: '0x00000010',
      size: '5000',
      mode: '0777',
      uid: '65534',
      gid: '65534',
      cuid: '65534',
      cgid: '65534',
      nattch: '0',
      cpid: String(own.driver.pid),
      lpid: '0',
      atime: '0',
      dtime: '0',
    });
    expect(Number(ctime)).toBeGreaterThanOrEqual(before);
    expect(await mount.output('stat -c "%a %s %u %g" shm/0x10')).toBe('777 5000 65534 65534\n');
  });

  test('S23, S24, S26, S27: an existing key', async () => {
    const id = await control.id('get 5 100 create 0600');
    const before = await control.ask(`stat ${id}`);
    expect(await control.ask('get 5 100 create excl')).toBe('error EEXIST');
    expect(await control.ask('get 5 999999 create excl')).toBe('error EEXIST');
    expect(await control.id('get 5 100 excl')).toBe(id);
    expect(await control.id('get 5 100')).toBe(id);
    expect(await control.id('get 5 0')).toBe(id);
    expect(await control.ask('get 5 101')).toBe('error EINVAL');
    expect(await control.ask('get 5 -1')).toBe('error EINVAL');
    expect(await control.ask(`stat ${id}`)).toBe(before);
  });

  test('S38, S39, S42, S46, S47: attach and detach, counts, pids and times', async () => {
    const other = await ControlFile.open(mount);
    const id = await control.id('get private 100');
    expect(await other.ask(`attach ${id}`)).toBe('ok');
    expect(await control.stat(id)).toMatchObject({ nattch: '1', lpid: String(other.driver.pid), dtime: '0' });
    expect((await control.stat(id))['atime']).not.toBe('0');
    expect(await other.ask(`attach ${id} rdonly`)).toBe('ok');
    expect((await control.stat(id))['nattch']).toBe('2');
    expect(await control.ask(`attach ${id}`)).toBe('ok');
    expect(await control.stat(id)).toMatchObject({ nattch: '3', lpid: String(control.driver.pid) });
    expect(await other.ask(`detach ${id}`)).toBe('ok');
    const status = await control.stat(id);
    expect(status).toMatchObject({ nattch: '2', lpid: String(other.driver.pid) });
    expect(status['dtime']).not.toBe('0');
    await control.ask(`detach ${id}`);
    await other.close();
    expect((await control.stat(id))['nattch']).toBe('0');
  });

  test('S45, S67: a detach without an attachment is EINVAL, and a process without one leaves nothing changed', async () => {
    const id = await control.id('get private 100');
    const own = await ControlFile.open(mount);
    expect(await own.ask(`detach ${id}`)).toBe('error EINVAL');
    expect(await own.ask(`attach ${id}`)).toBe('ok');
    expect(await own.ask(`detach ${id}`)).toBe('ok');
    expect(await own.ask(`detach ${id}`)).toBe('error EINVAL');
    const before = await control.ask(`stat ${id}`);
    own.driver.kill();
    await own.driver.finished();
    expect(await control.ask(`stat ${id}`)).toBe(before);
  });

  test('S6, S31, S55, S65: a removed segment stays for its users, until the last one was killed', async () => {
    const own = await ControlFile.open(mount);
    const id = await own.id('get 9 100 create');
    await own.ask(`attach ${id}`);
    expect(await control.ask(`rmid ${id}`)).toBe('ok');
    expect(await segmentRow(mount, id)).toMatchObject({ state: 'removed', nattch: 1, key: '0x00000000' });
    for (const word of ['attach', 'stat', 'rmid', 'detach']) {
      expect(await control.ask(`${word} ${id}`)).toBe('error EINVAL');
    }
    expect(await control.ask('get 9 100')).toBe('error ENOENT');
    own.driver.kill();
    await own.driver.finished();
    expect(await segmentRow(mount, id)).toBeNull();
  });

  test('S22: the key of a removed segment makes another one', async () => {
    const id = await control.id('get 8 100 create');
    await control.ask(`attach ${id}`);
    await control.ask(`rmid ${id}`);
    expect(await control.id('get 8 200 create')).not.toBe(id);
    await control.ask(`detach ${id}`);
  });

  test('S21, S57: a segment that lingers is there by id until its last detach', async () => {
    const id = await control.id('get 11 100 create linger 0600');
    await control.ask(`attach ${id}`);
    expect(await control.ask(`rmid ${id}`)).toBe('ok');
    expect(await control.ask(`attach ${id}`)).toBe('ok');
    expect((await control.stat(id))['nattch']).toBe('2');
    expect(await control.ask(`set ${id} mode=0640`)).toBe('ok');
    expect(await mount.output(`stat -c "%a %s" shm/id/${id}`)).toBe('640 100\n');
    expect(await control.ask('get 11 100')).toBe('error ENOENT');
    await control.ask(`detach ${id}`);
    await control.ask(`detach ${id}`);
    expect(await control.ask(`stat ${id}`)).toBe('error EINVAL');
  });

  test('S51: what is no request is answered by a line, and changes nothing', async () => {
    const id = await control.id('get 12 100 create 0600');
    const before = await mount.output('cat info/shm');
    const requests = [
      'foo',
      `foo ${id}`,
      `stat`,
      `stat ${id} more`,
      `stat x`,
      `stat 65536.5`,
      `stat 0x`,
      `set ${id} mode=9`,
      `set ${id} uid=`,
      `set ${id} size=5`,
      `set ${id} key=5`,
      `rmid ${id} now`,
      `rmid 99999999999999999999`,
      `attach ${id} rw`,
      `attach ${id} rdonly more`,
      `lock`,
      `get`,
      `get 5`,
      `get 4294967296 1 create`,
      `get -1 1 create`,
      `get 5 1 make`,
      `get 5 9223372036854775808 create`,
      `get 5 0 create`,
      `get 5 -4096 create`,
      `get 0xyz 1 create`,
      `GET 5 1 create`,
    ];
    for (const request of requests) {
      const answer = await control.ask(request);
      expect([request, answer.startsWith('error EINVAL')]).toEqual([request, true]);
    }
    expect(await mount.output('cat info/shm')).toBe(before);
  });

  test('a request may come in pieces and several at once; comments and empty lines have no answer', async () => {
    expect(await control.askAll('get pri')).toBe('');
    expect(await control.askAll('vate 1')).toBe('');
    expect(await control.askAll('00\n')).toMatch(/^ok \d+\n$/);
    expect(await control.askAll('# nothing\n\n  \t\nget 5 1\nfoo 1\nfoo\n')).toBe(
      'error ENOENT\nerror EINVAL unknown word "foo"\nerror EINVAL unknown word "foo"\n',
    );
  });

  test('a line of more than 4096 bytes is refused, and the file goes on', async () => {
    const own = await ControlFile.open(mount);
    expect(await own.askAll('x'.repeat(4097))).toBe('EINVAL');
    expect(await own.askAll('x'.repeat(5000) + '\n')).toBe('EINVAL');
    const longest = `get 5 1${' '.repeat(4096 - 7)}`;
    expect(await own.ask(longest)).toBe('error ENOENT');
  });

  test('S54: set changes owner, group and mode, and nothing else', async () => {
    const id = await control.id('get 13 100 create 0600');
    const before = await control.stat(id);
    expect(await control.ask(`set ${id} uid=12345 gid=23456 mode=7640`)).toBe('ok');
    const after = { ...before, uid: '12345', gid: '23456', mode: '0640' };
    expect({ ...(await control.stat(id)), ctime: before['ctime'] }).toEqual(after);
    expect(await mount.output('stat -c "%a %u %g" shm/13')).toBe('640 12345 23456\n');
    expect(await control.ask(`set ${id}`)).toBe('ok');
    expect({ ...(await control.stat(id)), ctime: before['ctime'] }).toEqual(after);
  });

  test('answers can be read a byte at a time, as bash does', async () => {
    const script =
      'exec 3<>shm/ctl; echo "get private 1" >&3; read -r word id <&3; echo "$word"; [ "$id" -ge 0 ]';
    expect(await mount.output(script)).toBe('ok\n');
  });

  test('S17: a size is kept as it was asked for', async () => {
    for (const size of [1, 4095, PAGE, PAGE + 1]) {
      const id = await control.id(`get private ${size}`);
      expect((await control.stat(id))['size']).toBe(String(size));
    }
  });
});
