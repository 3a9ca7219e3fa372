import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { TextQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';

const EINVAL = -22;
const EBADF = -9;

describeMount('lines written to a kqueue', () => {
  let mount: TestMount;
  let a: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    a = await mount.driver();
  });
  afterAll(() => mount.stop());

  const event = (ident: number, udata = '-') => `user ${ident} data=0 flags=oneshot fflags=0 udata=${udata}`;

  test('K2: comments, empty lines, blanks and tabs', async () => {
    const queue = await TextQueue.open(a);
    expect(
      await queue.after('# a comment', '', '   ', '\tadd\t user   1 oneshot\ttrigger  udata=a # why', '#'),
    ).toEqual([event(1, 'a')]);
  });

  test('K2: a line may come in pieces', async () => {
    const queue = await TextQueue.open(a);
    for (const piece of 'add user 1 oneshot trigger udata=slow') {
      expect((await a.write(queue.fd, piece)).result).toBe(1);
      expect(await queue.take()).toEqual([]);
    }
    expect((await a.write(queue.fd, '\nadd user 2 oneshot tri')).result).toBe(23);
    expect(await queue.take()).toEqual([event(1, 'slow')]);
    await a.write(queue.fd, 'gger\n');
    expect(await queue.take()).toEqual([event(2)]);
  });

  test('a line of 4096 bytes is taken, one of 4097 is refused, in one piece or in several', async () => {
    const queue = await TextQueue.open(a);
    const start = 'add user 1 oneshot trigger udata=';
    const token = 'x'.repeat(4096 - start.length);
    expect(await queue.after(start + token)).toEqual([event(1, token)]);
    const complaint = 'error line=1 errno=EINVAL line longer than 4096 bytes';
    expect(await queue.change(`${start}${token}y`)).toBe('EINVAL');
    expect(await queue.take()).toEqual([complaint]);
    expect((await a.write(queue.fd, start)).result).toBe(start.length);
    expect((await a.write(queue.fd, token)).result).toBe(token.length);
    expect((await a.write(queue.fd, 'y')).result).toBe(EINVAL);
    expect(await queue.take()).toEqual([complaint]);
    expect(await queue.after('add user 2 oneshot trigger')).toEqual([event(2)]);
  });

  test('a line that cannot be parsed is EINVAL, is explained, changes nothing, and the queue works on', async () => {
    const queue = await TextQueue.open(a);
    const malformed: readonly (readonly [line: string, reason: string])[] = [
      ['add raed pipes/a', 'unknown filter "raed"'],
      ['ad user 1', 'unknown command "ad"'],
      ['add', 'no filter'],
      ['add user', 'no ident'],
      ['add user one', '"one" is no ident of user'],
      ['add user -1', '"-1" is no ident of user'],
      ['add user 18446744073709551616', '"18446744073709551616" is no ident of user'],
      ['add read fd:x', '"fd:x" is no ident of read'],
      ['add user 1 oneshto', 'unknown option "oneshto"'],
      ['add user 1 colour=red', 'unknown option "colour=red"'],
      ['add user 1 data=', '"data=": not an integer of 64 bits'],
      ['add user 1 data=9223372036854775808', '"data=9223372036854775808": not an integer of 64 bits'],
      ['add user 1 fflags=0x100000000', '"fflags=0x100000000": not an integer of 32 bits'],
      ['add user 1 ffor=0x1000000', '"ffor=0x1000000": not an integer of 24 bits'],
      ['add user 1 udata=', '"udata=": no token'],
      ['add user 1 data=1 data=2', '"data=2": given twice'],
      ['add timer 1 ffor=1', 'unknown option "ffor=1"'],
      ['add timer 1 data=5h', '"data=5h": not an integer of 64 bits'],
      ['add vnode pipes trigger', 'unknown option "trigger"'],
      ['add user 1\u0000', 'control character'],
      ['add user 1\r', 'control character'],
      ['add user 1 \u001b[1m', 'control character'],
      ['\u00ff\u00fe user 1', 'unknown command "\\377\\376"'],
    ];
    for (const [line, reason] of malformed) {
      expect(await queue.change('add user 9 oneshot trigger', line)).toBe('EINVAL');
      expect(await queue.take()).toEqual([`error line=2 errno=EINVAL ${reason}`]);
      expect(await queue.take()).toEqual([]);
    }
    expect(await queue.after('delete user 9')).toEqual(['error user 9 errno=ENOENT udata=-']);
    expect(await queue.after('add user 9 oneshot trigger')).toEqual([event(9)]);
  });

  test('a refused write takes the beginning of a line along', async () => {
    const queue = await TextQueue.open(a);
    await a.write(queue.fd, 'add user 1 oneshot ');
    expect(await queue.change('nonsense')).toBe('EINVAL');
    expect(await queue.take()).toEqual(['error line=1 errno=EINVAL unknown option "nonsense"']);
    expect(await queue.after('add user 2 oneshot trigger')).toEqual([event(2)]);
  });

  test('garbage of all kinds is EINVAL, and leaves the queue working', async () => {
    const queue = await TextQueue.open(a);
    let seed = 12345;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed % below;
    };
    for (let round = 0; round < 150; round++) {
      const bytes = Buffer.from(Array.from({ length: 1 + random(300) }, () => random(256)));
      const hex = Buffer.concat([Buffer.from('\u0001'), bytes, Buffer.from('\n')]).toString('hex');
      expect((await a.call({ call: 'writeHex', fd: queue.fd, hex })).result).toBe(EINVAL);
      expect((await queue.take())[0]).toMatch(/^error line=\d+ errno=EINVAL [\x20-\x7e]+$/);
    }
    expect(await queue.after('add user 1 oneshot trigger')).toEqual([event(1)]);
  });

  test('K15: the udata of a change comes back with its error, and a token comes back unchanged', async () => {
    const queue = await TextQueue.open(a);
    for (const token of ['j1', '0x10', '17', 'a=b,c', '"quoted"', '#x', '-1']) {
      expect(await queue.after(`delete user 1 udata=${token}`)).toEqual([
        `error user 1 errno=ENOENT udata=${token}`,
      ]);
      expect(await queue.after(`add user 1 oneshot trigger udata=${token}`)).toEqual([event(1, token)]);
    }
  });

  test('K18, K19: through a descriptor that cannot be read the error fails the write', async () => {
    await mount.output('touch kqueues/errors');
    const fd = await a.open('kqueues/errors', 'wn');
    const changes = 'add user 1\nadd read pipes/none\nadd user 2\n';
    expect((await a.write(fd, changes)).result).toBe(-2);
    expect((await a.write(fd, 'add raed x\n')).result).toBe(EINVAL);
    expect((await a.read(fd, 100)).result).toBe(EBADF);
    const idents = (await mount.table('knotes')).map((row) => row['ident']);
    expect(idents).toContain('1');
    expect(idents).not.toContain('2');
  });

  test('K17: errors go to the descriptor that caused them, events to any', async () => {
    await mount.output('touch kqueues/own');
    const [first, second] = [await TextQueue.open(a, 'kqueues/own'), await TextQueue.open(a, 'kqueues/own')];
    await first.change('delete user 1', 'add user 2 oneshot trigger');
    expect(await second.take()).toEqual([event(2)]);
    expect(await second.take()).toEqual([]);
    expect(await first.take()).toEqual(['error user 1 errno=ENOENT udata=-']);
  });
});
