import { describe, expect, test } from 'vitest';
import { EACCES, EAGAIN, EFAULT, EINTR, EPERM, EPIPE } from '../../src/kern/errno.ts';
import { type File, FNONBLOCK } from '../../src/kern/file.ts';
import { EVFILT_READ, EVFILT_WRITE } from '../../src/kern/klist.ts';
import { Poller, POLLIN, POLLOUT } from '../../src/kern/poll.ts';
import { WriteUio } from '../../src/kern/uio.ts';
import { bytesOf, endOf, pattern, TestKnote, user, World } from '../support/engine.ts';
import { setOptions, unsetOptions } from '../support/options.ts';

/** PIPE_BUF of the worlds here. */
const PIPE_BUF = 512;

function piped(options: string): { world: World; reader: File; writer: File } {
  const world = new World();
  const fifo = world.fifo();
  expect(setOptions(fifo, options)).toBe(0);
  return { world, reader: world.open(fifo, 'rn'), writer: world.open(fifo, 'wn') };
}

const OPTIONS = ['hold', 'hold lines', 'hold records', 'fanout', 'fanout lines', 'hold jobserver'];

describe.each(OPTIONS)('%s: what every pipe does', (options) => {
  test('calls without bytes move none, and neither wait nor fail', () => {
    const { world, reader, writer } = piped(options);
    expect([world.read(reader, 0).result, world.write(writer, '').result]).toEqual([0, 0]);
    expect([reader.messagesReceived, writer.messagesSent]).toEqual([0, 0]);
  });

  test('P139: reads and writes are counted, and stamp the times', () => {
    const { world, reader, writer } = piped(options);
    const { times, traffic } = endOf(writer);
    world.host.clock.advance(5000);
    expect(world.write(writer, 'abc\n').result).toBe(4);
    expect([times.modified.seconds, times.accessed.seconds]).toEqual([6, 1]);
    world.host.clock.advance(5000);
    expect(world.read(reader, 100).text).toBe('abc\n');
    expect([times.modified.seconds, times.accessed.seconds]).toEqual([6, 11]);
    expect(traffic).toMatchObject({ bytesIn: 4, bytesOut: 4 });
    expect([reader.messagesReceived, writer.messagesSent]).toEqual([1, 1]);
    world.host.clock.advance(5000);
    expect(world.read(reader, 100).result).toBe(-EAGAIN);
    expect([times.accessed.seconds, reader.messagesReceived]).toEqual([11, 1]);
  });

  test('a policy may refuse both', () => {
    const { world, reader, writer } = piped(options);
    world.write(writer, 'abc\n');
    world.pipes.policy = { checkRead: () => -EACCES, checkWrite: () => -EPERM };
    expect([world.read(reader, 10).result, world.write(writer, 'x').result]).toEqual([-EACCES, -EPERM]);
    world.pipes.policy = null;
    expect(world.read(reader, 10).text).toBe('abc\n');
  });

  test('watchers are notified of bytes by a write, and of room by a read', () => {
    const { world, reader, writer } = piped(`${options} capacity=4096`);
    const heard: string[] = [];
    expect(world.poll(reader, POLLIN, new Poller(() => heard.push('poller: bytes')))).toBe(0);
    const readable = new TestKnote(reader, EVFILT_READ);
    readable.register();
    world.write(writer, `${'x'.repeat(4094)}\n`);
    expect(heard).toEqual(['poller: bytes']);
    expect(readable.activations).toBe(1);
    expect(world.poll(writer, POLLOUT, new Poller(() => heard.push('poller: room')))).toBe(0);
    const writable = new TestKnote(writer, EVFILT_WRITE);
    writable.register();
    expect(writable.activations).toBe(0);
    world.read(reader, 9000);
    // Tokens that are out have their room reserved.
    const isRoom = !options.includes('jobserver');
    expect(heard).toEqual(isRoom ? ['poller: bytes', 'poller: room'] : ['poller: bytes']);
    expect(writable.activations).toBe(isRoom ? 1 : 0);
    readable.remove();
    writable.remove();
  });

  test('a write that sleeps goes on as room comes, and ends with what it has moved', () => {
    const { world, reader, writer } = piped(`${options} capacity=4096`);
    writer.flags &= ~FNONBLOCK;
    world.write(writer, `${'x'.repeat(4090)}\n`);
    const writing = world.write(writer, `${'y'.repeat(1000)}\n`);
    expect(writing.waitMessage).toBe('pipewr');
    if (options.includes('jobserver')) {
      writing.signal();
      expect(writing.result).toBe(5);
      return;
    }
    world.read(reader, 9000);
    expect(writing.result).toBe(1001);
    expect(world.poll(reader, POLLIN)).toBe(POLLIN);
  });
});

describe('writes', () => {
  test('P54: one of up to PIPE_BUF bytes is atomic, a longer one takes what room there is', () => {
    const { world, reader, writer } = piped('hold capacity=4096');
    world.write(writer, 4096 - 100);
    expect(world.write(writer, PIPE_BUF).result).toBe(-EAGAIN);
    expect(world.write(writer, PIPE_BUF + 1).result).toBe(100);
    expect(world.write(writer, PIPE_BUF + 1).result).toBe(-EAGAIN);
    world.read(reader, PIPE_BUF);
    expect(world.write(writer, PIPE_BUF).result).toBe(PIPE_BUF);
  });

  test('P52: the last reader leaves while one sleeps: -EPIPE, or what was moved', () => {
    const { world, reader, writer } = piped('fanout capacity=4096');
    writer.flags &= ~FNONBLOCK;
    const partly = world.write(writer, 5000);
    const none = world.write(writer, 10);
    world.close(reader);
    expect([partly.result, none.result]).toEqual([4096, -EPIPE]);
    expect(world.write(writer, 1).result).toBe(-EPIPE);
  });

  test('bytes that cannot be read end one with those before them', () => {
    const { world, reader, writer } = piped('hold lines');
    expect(world.writev(writer, [bytesOf('whole\n'), { unreadableBytes: 10 }]).result).toBe(6);
    expect(world.writev(writer, [{ unreadableBytes: 10 }]).result).toBe(-EFAULT);
    expect(world.read(reader, 100).text).toBe('whole\n');
  });

  test('a record longer than the pipe begins at once where there is room for a byte of it, and ends with a signal', () => {
    const { world, reader, writer } = piped('hold records capacity=4096');
    writer.flags &= ~FNONBLOCK;
    world.write(writer, 4096);
    const writing = world.write(writer, 5000);
    expect(writing.isBlocked).toBe(true);
    writing.signal();
    expect(writing.result).toBe(-EINTR);
    world.read(reader, 9000);
    const again = world.write(writer, pattern(5000));
    expect(world.poll(writer, POLLOUT)).toBe(0);
    again.signal();
    expect(again.result).toBe(4095);
    expect(world.write(writer, 'n').result).toBe(1);
    expect(world.read(reader, 9000).bytes).toEqual(pattern(5000).subarray(0, 4095));
    expect(world.read(reader, 9000).text).toBe('n');
  });

  test('a line that fills the pipe to the last byte is whole; one byte more, and it goes through in pieces', () => {
    const { world, reader, writer } = piped('hold lines capacity=4096');
    const longest = `${'x'.repeat(4095)}\n`;
    expect(world.write(writer, longest).result).toBe(4096);
    expect(world.read(reader, 9000).text).toBe(longest);
    expect(world.write(writer, 'x'.repeat(4000)).result).toBe(4000);
    expect(world.poll(reader, POLLIN)).toBe(0);
    expect(world.write(writer, `${'x'.repeat(95)}\n`).result).toBe(96);
    expect(world.read(reader, 9000).text).toBe(longest);
    expect(world.write(writer, `x${longest}`).result).toBe(4095);
    expect(world.read(reader, 9000).result).toBe(4095);
    expect(world.write(writer, 'x\nnext\n').result).toBe(7);
    expect([1, 2].map(() => world.read(reader, 9000).text)).toEqual(['x\n', 'next\n']);
  });

  test('one that sleeps goes on in the plain pipe when the options go', () => {
    for (const ending of ['read', 'close', 'signal'] as const) {
      const { world, reader, writer } = piped('capacity=4096');
      writer.flags &= ~FNONBLOCK;
      const writing = world.write(writer, 50_000);
      unsetOptions(endOf(writer).pair.fifo!, 'all');
      world.kernel.scheduler.run();
      expect(writing.isBlocked).toBe(true);
      if (ending === 'close') world.close(reader);
      if (ending === 'signal') writing.signal();
      if (ending !== 'read') {
        expect(writing.result).toBeGreaterThanOrEqual(4096);
        continue;
      }
      const got: number[] = [];
      while (got.length < 50_000) got.push(...world.read(reader, 7000).bytes);
      expect(Uint8Array.from(got)).toEqual(pattern(50_000));
      expect(writing.result).toBe(50_000);
    }
  });

  test('one whose bytes were held back gets them before it goes on, or ends with what was moved', () => {
    for (const error of [0, -EINTR]) {
      const { world, reader, writer } = piped('hold capacity=4096');
      writer.flags &= ~FNONBLOCK;
      const uio = new WriteUio([pattern(6000)]);
      const writing = world.call(writer.ops.write(writer, uio, user));
      expect(uio.isPageable).toBe(true);
      uio.holdBack(100, {
        *fetch(held) {
          if (error === 0) held.restore(pattern(6000));
          return error;
        },
      });
      world.read(reader, 9000);
      expect(writing.result).toBe(error === 0 ? 6000 : 4096);
      if (error === 0) expect(world.read(reader, 9000).bytes).toEqual(pattern(6000).subarray(4096));
    }
  });

  test('a line in pieces leaves a byte for its end: with two there is room to write', () => {
    const { world, reader, writer } = piped('hold lines capacity=4096');
    expect(world.write(writer, 'x'.repeat(5000)).result).toBe(4095);
    expect(world.poll(writer, POLLOUT)).toBe(0);
    world.read(reader, 1);
    expect(world.poll(writer, POLLOUT)).toBe(POLLOUT);
    expect(world.write(writer, 'xx').result).toBe(1);
    expect(world.write(writer, '\n').result).toBe(1);
    expect(world.read(reader, 9000).text).toBe(`${'x'.repeat(4095)}\n`);
  });

  test('while a line goes through in pieces others wait, and records that others may drop are dropped', () => {
    const { world, reader, writer } = piped('hold lines capacity=4096');
    const { fifo } = endOf(writer).pair;
    const other = world.open(fifo!, 'wn');
    world.write(writer, 'x'.repeat(6000));
    world.read(reader, 2000);
    expect(world.write(other, 'other\n').result).toBe(-EAGAIN);
    setOptions(fifo!, 'overflow=newest');
    expect(world.write(other, 'other\n').result).toBe(6);
    expect(fifo!.drops).toEqual({ bytes: 6, records: 1 });
    world.checkInvariants();
  });

  test('newest: of lines that come in pieces, those that do not fit are counted whole', () => {
    const { world, reader, writer } = piped('hold lines overflow=newest capacity=4096');
    const { fifo } = endOf(writer).pair;
    world.write(writer, `${'x'.repeat(4000)}\n`);
    world.write(writer, 'y'.repeat(60));
    world.write(writer, `${'y'.repeat(60)}\nfits\n`);
    expect(fifo!.drops).toEqual({ bytes: 121, records: 1 });
    expect(world.read(reader, 9000).result).toBe(4001);
    expect(world.read(reader, 9000).text).toBe('fits\n');
  });
});
