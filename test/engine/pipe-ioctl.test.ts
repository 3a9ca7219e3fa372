import { expect, test } from 'vitest';

import { rootCredentials } from '../../src/kern/credentials.ts';
import { EAGAIN, ENOTTY, EPERM, ESRCH, EACCES } from '../../src/kern/errno.ts';
import { FNONBLOCK, FREAD, FWRITE, Ioctl } from '../../src/kern/file.ts';
import { MemoryReadUio, WriteUio } from '../../src/kern/uio.ts';
import { pipe2, pipeInfo, pipeStat } from '../../src/pipe/anonymous.ts';
import type { PipePair } from '../../src/pipe/pair.ts';
import type { PipePolicy } from '../../src/pipe/policy.ts';
import { bytesOf, endOf, unlimitedTable, user, World } from '../support/engine.ts';

const FIONWRITE = 0x40046677;
const FIONSPACE = 0x40046676;

test('P103: FIONBIO succeeds and leaves the flag to the descriptor layer', () => {
  const world = new World();
  const [file] = world.pair();
  expect(world.ioctl(file, Ioctl.FIONBIO, 1)).toEqual({ result: 0, value: 1 });
  expect(file.nonBlocking).toBe(false);
  file.flags |= FNONBLOCK;
  expect(world.read(file, 1).result).toBe(-EAGAIN);
});

test('P104: FIOASYNC turns SIGIO on and off for the ring of the descriptor it is called on', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.ioctl(near, Ioctl.FIOSETOWN, 500);
  world.ioctl(near, Ioctl.FIOASYNC, 1);
  world.write(far, 'a');
  expect(world.host.sigio).toEqual([500]);
  world.write(near, 'a');
  expect(world.host.sigio).toEqual([500]);
  world.ioctl(near, Ioctl.FIOASYNC, 0);
  world.write(far, 'a');
  expect(world.host.sigio).toEqual([500]);
});

test('P105: FIONREAD says what a read could get now, and 0 where the open mode has no reading', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  expect(world.ioctl(reader, Ioctl.FIONREAD, 99)).toEqual({ result: 0, value: 0 });
  world.write(writer, '12345');
  expect(world.ioctl(reader, Ioctl.FIONREAD)).toEqual({ result: 0, value: 5 });
  expect(world.ioctl(writer, Ioctl.FIONREAD, 99)).toEqual({ result: 0, value: 0 });
  world.read(reader, 5);
  world.write(writer, 10000);
  world.read(reader, 4000);
  expect(world.ioctl(reader, Ioctl.FIONREAD).value).toBe(6000);
});

test('P106: FIOSETOWN and FIOGETOWN keep the owner, TIOCSPGRP and TIOCGPGRP with the sign turned', () => {
  const world = new World();
  const [file] = world.pair();
  expect(world.ioctl(file, Ioctl.FIOGETOWN, 7)).toEqual({ result: 0, value: 0 });
  expect(world.ioctl(file, Ioctl.TIOCGPGRP, 7)).toEqual({ result: 0, value: 0 });
  expect(world.ioctl(file, Ioctl.FIOSETOWN, 500).result).toBe(0);
  expect(world.ioctl(file, Ioctl.FIOGETOWN).value).toBe(500);
  expect(world.ioctl(file, Ioctl.TIOCGPGRP).value).toBe(-500);
  expect(world.ioctl(file, Ioctl.TIOCSPGRP, 600).result).toBe(0);
  expect(world.ioctl(file, Ioctl.FIOGETOWN).value).toBe(-600);
  expect(world.ioctl(file, Ioctl.TIOCGPGRP).value).toBe(600);
  expect(world.ioctl(file, Ioctl.FIOSETOWN, 0).result).toBe(0);
  expect(world.ioctl(file, Ioctl.FIOGETOWN, 7).value).toBe(0);
});

test('P106: an owner that does not exist or is out of reach is refused, and the old one stays', () => {
  const world = new World();
  const [file] = world.pair();
  world.ioctl(file, Ioctl.FIOSETOWN, 500);
  expect(world.ioctl(file, Ioctl.FIOSETOWN, 5000).result).toBe(-ESRCH);
  expect(world.ioctl(file, Ioctl.TIOCSPGRP, 5000).result).toBe(-ESRCH);
  expect(world.ioctl(file, Ioctl.FIOSETOWN, 50).result).toBe(-EPERM);
  expect(world.ioctl(file, Ioctl.FIOGETOWN).value).toBe(500);
  expect(world.ioctl(file, Ioctl.FIOSETOWN, 50, rootCredentials).result).toBe(0);
  expect(world.ioctl(file, Ioctl.FIOGETOWN).value).toBe(50);
});

test('P107: every other ioctl is ENOTTY, the queries of the send queue too', () => {
  const world = new World();
  const [file] = world.pair();
  for (const command of [FIONWRITE, FIONSPACE, 0, 0x541b]) {
    expect(world.ioctl(file, command, 3)).toEqual({ result: -ENOTTY, value: 3 });
  }
});

test('P108: fstat of a pair: no mode bits, no links, waiting bytes, blocks in pages', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.host.clock.advance(5000);
  world.write(far, 5000);
  const stat = pipeStat(endOf(near), user);
  expect(stat).toEqual({
    mode: 0o010000,
    blockSizeBytes: 4096,
    sizeBytes: 5000,
    blocks: 2,
    times: { ...endOf(near).times },
    uid: 1000,
    gid: 1000,
    inode: endOf(near).inode,
    linkCount: 0,
  });
  expect(endOf(near).times.modified.seconds).toBe(6);
  expect(endOf(near).times.accessed.seconds).toBe(1);
  expect(pipeStat(endOf(far), user)).toMatchObject({ sizeBytes: 0, blocks: 0 });
});

test('P108: the size counts a pending chunk, and the owner is who made the pair', () => {
  const world = new World();
  const files = pipe2(world.pipes, unlimitedTable, 0, { uid: 7, gid: 8, pid: 9 });
  if (typeof files === 'number') throw new Error('pipe2 failed');
  world.write(files[1], 10000);
  world.read(files[0], 1);
  expect(pipeStat(endOf(files[0]), user)).toMatchObject({ sizeBytes: 9999, blocks: 3, uid: 7, gid: 8 });
});

test('P110: the info of an end shows its ring', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.write(far, 10);
  world.read(near, 4);
  expect(pipeInfo(endOf(near))).toEqual({ count: 6, in: 10, out: 4, sizeBytes: 16384 });
  expect(pipeInfo(endOf(far))).toEqual({ count: 0, in: 0, out: 0, sizeBytes: 4096 });
});

test('P111: a pipe has no positions: the offset of a transfer means nothing to it', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.now(far.ops.write(far, new WriteUio([bytesOf('abc')], 100), user));
  const buffer = new Uint8Array(2);
  expect(world.now(near.ops.read(near, new MemoryReadUio([buffer], 1), user))).toBe(2);
  expect([...buffer]).toEqual([...bytesOf('ab')]);
});

test('P120: a policy refuses reads, writes, ioctls, polls and stats with its own errno', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.write(far, 'abc');
  const asked: string[] = [];
  const refuse = (what: string) => (credentials: { uid: number }, pair: PipePair) => {
    expect(credentials.uid).toBe(1000);
    expect(pair).toBe(endOf(near).pair);
    asked.push(what);
    return -EACCES;
  };
  const policy: PipePolicy = {
    checkRead: refuse('read'),
    checkWrite: refuse('write'),
    checkIoctl: (credentials, pair, command) => refuse(`ioctl ${command}`)(credentials, pair),
    checkPoll: refuse('poll'),
    checkStat: refuse('stat'),
  };
  world.pipes.policy = policy;
  expect(world.read(near, 3).result).toBe(-EACCES);
  expect(world.write(far, 'd').result).toBe(-EACCES);
  expect(world.ioctl(near, Ioctl.FIONREAD, 7)).toEqual({ result: -EACCES, value: 7 });
  expect(world.poll(near, 1)).toBe(-EACCES);
  expect(pipeStat(endOf(near), user)).toBe(-EACCES);
  expect(asked).toEqual(['read', 'write', `ioctl ${Ioctl.FIONREAD}`, 'poll', 'stat']);
  world.pipes.policy = {};
  expect(endOf(near).busyCount + endOf(far).busyCount).toBe(0);
  expect(world.read(near, 10).text).toBe('abc');
});

test('P120: a policy that agrees changes nothing', () => {
  const world = new World();
  const agree = () => 0;
  world.pipes.policy = {
    checkRead: agree,
    checkWrite: agree,
    checkIoctl: agree,
    checkPoll: agree,
    checkStat: agree,
  };
  const [near, far] = world.pair();
  expect(world.write(far, 'abc').result).toBe(3);
  expect(world.poll(near, 1)).toBe(1);
  expect(world.ioctl(near, Ioctl.FIONREAD).value).toBe(3);
  expect(pipeStat(endOf(near), user)).toMatchObject({ sizeBytes: 3 });
  expect(world.read(near, 10).text).toBe('abc');
});

test('P120: a policy is told once of every pair that comes and goes, named or not', () => {
  const world = new World({ maxPipeKvaBytes: 65536 });
  const created: PipePair[] = [];
  const destroyed: PipePair[] = [];
  world.pipes.policy = {
    created: (pair) => created.push(pair),
    destroyed: (pair) => destroyed.push(pair),
  };
  const [near, far] = world.pair();
  const pair = endOf(near).pair;
  expect(created).toEqual([pair]);
  world.close(near);
  expect(destroyed).toEqual([]);
  world.close(far);
  expect(destroyed).toEqual([pair]);

  const { fifo, reader, writer } = world.fifoEnds();
  const named = fifo.end!.pair;
  world.close(reader);
  expect(destroyed).toEqual([pair]);
  world.close(writer);
  expect(created).toEqual([pair, named]);
  expect(destroyed).toEqual([pair, named]);

  world.pipes.budget.maximumBytes = 4096;
  expect(pipe2(world.pipes, unlimitedTable, 0, user)).toBeLessThan(0);
  expect(created.length).toBe(destroyed.length);
});

test('P139: times are the clock as it stands at the call: equal within a tick', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.host.clock.advance(250);
  world.write(far, 'a');
  world.read(near, 1);
  const { modified, accessed } = endOf(near).times;
  expect(modified).toEqual({ seconds: 1, nanoseconds: 250_000_000 });
  expect(accessed).toEqual(modified);
  world.host.clock.advance(10);
  world.write(far, 'a');
  expect(endOf(near).times.modified).toEqual({ seconds: 1, nanoseconds: 260_000_000 });
  expect(endOf(near).times.accessed).toEqual(accessed);
});

test('P140: a short first segment pulls a long second one into the ring; a long one in front goes directly', () => {
  const world = new World();
  const fresh = world.fifoEnds();
  expect(world.writev(fresh.writer, [new Uint8Array(100), new Uint8Array(10000)]).result).toBe(10100);
  expect(endOf(fresh.reader).ring.count).toBe(10100);

  const other = world.fifoEnds();
  const write = world.writev(other.writer, [new Uint8Array(10000), new Uint8Array(100)]);
  expect(write.waitMessage).toBe('pipdwt');
  world.read(other.reader, 9999);
  expect(write.isBlocked).toBe(true);
  world.read(other.reader, 1);
  expect(write.result).toBe(10100);
  expect(world.read(other.reader, 10000).result).toBe(100);
});

test('P141: a pair made without flags blocks in both directions', () => {
  const world = new World();
  const files = pipe2(world.pipes, unlimitedTable, 0, user);
  if (typeof files === 'number') throw new Error('pipe2 failed');
  for (const file of files) {
    expect(file.flags).toBe(FREAD | FWRITE);
    expect(world.read(file, 1).waitMessage).toBe('piperd');
  }
});
