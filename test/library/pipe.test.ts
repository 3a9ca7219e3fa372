import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { IpcError, IpcSystem, Pipe } from '../../src/index.ts';

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Whether a promise has settled once everything that was due has run. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  const settle = (): void => void (isSettled = true);
  promise.then(settle, settle);
  await new Promise((resolve) => setImmediate(resolve));
  return !isSettled;
}

test('P33: a read that waits is woken by a write, in both directions', async () => {
  const [a, b] = new Pipe().ends;
  const reading = b.read(100);
  expect(await isPending(reading)).toBe(true);
  expect(await a.write('ping')).toBe(4);
  expect(decode(await reading)).toBe('ping');
  await b.write(new Uint8Array([1, 2, 3]));
  expect(a.queuedBytes).toBe(3);
  expect(await a.read(2)).toEqual(new Uint8Array([1, 2]));
  expect(await a.read(2)).toEqual(new Uint8Array([3]));
});

test('P70: a large write is handed over and waits for its reader', async () => {
  const [a, b] = new Pipe().ends;
  const data = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7) & 0xff);
  const writing = a.write(data);
  expect(await isPending(writing)).toBe(true);
  const read = new Uint8Array(data.length);
  for (let at = 0; at < data.length;) {
    const piece = await b.read(10_000);
    read.set(piece, at);
    at += piece.length;
  }
  expect(await writing).toBe(data.length);
  expect(Buffer.compare(read, data)).toBe(0);
});

test('P115: the close of an end is end-of-file and EPIPE for the other', async () => {
  const [a, b] = new Pipe().ends;
  await a.write('last');
  const own = a.read(1);
  await a.close();
  await a.close();
  expect(await own).toHaveLength(0);
  expect(decode(await b.read(100))).toBe('last');
  expect(await b.read(100)).toHaveLength(0);
  const failure = await b.write('x').catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(IpcError);
  expect(failure).toBeInstanceOf(Error);
  expect(failure).toMatchObject({ code: 'EPIPE', errno: -32, syscall: 'write', message: 'EPIPE: write' });
  await expect(a.read(1)).rejects.toMatchObject({ code: 'EBADF', syscall: 'read' });
  expect(() => a.poll()).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'poll' }));
});

test('a signal ends a call: EINTR, or what it has done', async () => {
  const [a, b] = new Pipe().ends;
  const controller = new AbortController();
  const reading = b.read(1, controller);
  expect(await isPending(reading)).toBe(true);
  controller.abort();
  await expect(reading).rejects.toMatchObject({ code: 'EINTR', errno: -4, syscall: 'read' });
  await expect(b.read(1, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'EINTR' });
  // Nothing was lost by the calls that were ended.
  await a.write('kept');
  expect(decode(await b.read(10))).toBe('kept');
  const writer = new AbortController();
  const writing = a.write(new Uint8Array(200_000), writer);
  await b.read(50_000);
  writer.abort();
  const written = await writing;
  expect(written).toBeGreaterThanOrEqual(50_000);
  expect(b.queuedBytes).toBe(written - 50_000);
});

test('a call without blocking fails with EAGAIN', async () => {
  const [a, b] = new Pipe({ nonBlocking: true }).ends;
  await expect(a.read(1)).rejects.toMatchObject({ code: 'EAGAIN' });
  const written = await a.write(new Uint8Array(1_000_000));
  expect(written).toBeLessThan(1_000_000);
  expect(b.queuedBytes).toBe(written);
  await expect(a.write('x')).rejects.toMatchObject({ code: 'EAGAIN' });
});

test('P82: readiness, and waiting for it', async () => {
  const [a, b] = new Pipe().ends;
  expect(b.poll()).toEqual({ readable: false, writable: true, hungUp: false });
  const ready = b.ready('read');
  expect(await isPending(ready)).toBe(true);
  await a.write('x');
  expect(await ready).toEqual({ readable: true, writable: true, hungUp: false });
  expect(await b.ready('write')).toMatchObject({ writable: true });
  await b.read(1);
  const controller = new AbortController();
  const ended = b.ready('read', controller);
  controller.abort();
  await expect(ended).rejects.toMatchObject({ code: 'EINTR', syscall: 'poll' });
  const hungUp = b.ready('read');
  await a.close();
  expect(await hungUp).toMatchObject({ readable: true, hungUp: true });
});

test('an end is iterated to the end of the stream', async () => {
  const [a, b] = new Pipe().ends;
  const texts: string[] = [];
  const reading = (async () => {
    for await (const bytes of b) texts.push(decode(bytes));
  })();
  await a.write('one');
  await a.write('two');
  await a.close();
  await reading;
  expect(texts.join('')).toBe('onetwo');
});

test('systems have tunables and a budget of their own', async () => {
  const small = new IpcSystem({ sysctls: { 'kern.ipc.maxpipekva': 24 * 1024 } });
  const pipe = new Pipe({ system: small });
  expect(() => new Pipe({ system: small })).toThrow(
    expect.objectContaining({ code: 'ENOMEM', syscall: 'pipe2' }),
  );
  expect(() => new Pipe()).not.toThrow();
  await pipe.close();
  expect(small.sysctl('kern.ipc.pipekva')).toBe(0);
  await small.setSysctl('kern.ipc.pipe_direct_max', 65_536);
  expect(small.sysctl('kern.ipc.pipe_direct_max')).toBe(65_536);
  await expect(small.setSysctl('kern.none', 1)).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(small.setSysctl('kern.ipc.pipekva', 1)).rejects.toMatchObject({ code: 'EPERM' });
  await expect(small.setSysctl('kern.ipc.pipe_direct_max', 0)).rejects.toMatchObject({ code: 'EINVAL' });
  expect(() => small.sysctl('kern.none')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  expect(() => new IpcSystem({ sysctls: { 'kern.none': 1 } })).toThrow(
    expect.objectContaining({ code: 'ENOENT', syscall: 'sysctl' }),
  );
  expect(small.waitingCount).toBe(0);
});

test('P108, P110: stat and the ring of an end show what a reader could take', async () => {
  const pipe = new Pipe({ system: new IpcSystem() });
  const [left, right] = pipe.ends;
  await left.write('hello');
  await right.read(2);
  expect(right.stat()).toMatchObject({
    mode: 0o010000,
    sizeBytes: 3,
    blocks: 1,
    uid: process.geteuid!(),
  });
  expect(right.stat().modificationTime.getTime()).toBeGreaterThan(Date.now() - 60_000);
  expect(right.ring).toMatchObject({ count: 3, in: 5, out: 2 });
  expect(pipe.id).toBe(left.stat().inode);
  await pipe.close();
  expect(() => left.stat()).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'fstat' }));
});

test('P120: a policy sees every pipe, and refuses calls with its own errno', async () => {
  const log: string[] = [];
  let denied: 'read' | 'write' | 'poll' | 'stat' | null = null;
  const check = (what: typeof denied) => (_caller: object, id: number) => {
    log.push(`${what} ${id}`);
    return what === denied ? -constants.errno.EACCES : 0;
  };
  const system = new IpcSystem({
    policy: {
      checkRead: check('read'),
      checkWrite: check('write'),
      checkPoll: check('poll'),
      checkStat: check('stat'),
      created: (id) => log.push(`created ${id}`),
      destroyed: (id) => log.push(`destroyed ${id}`),
    },
  });
  const pipe = new Pipe({ system });
  const [left, right] = pipe.ends;
  const { id } = pipe;
  await left.write('a');
  denied = 'write';
  await expect(left.write('b')).rejects.toMatchObject({ code: 'EACCES', syscall: 'write' });
  denied = 'read';
  await expect(right.read(1)).rejects.toMatchObject({ code: 'EACCES', syscall: 'read' });
  denied = 'poll';
  expect(() => right.poll()).toThrow(expect.objectContaining({ code: 'EACCES' }));
  denied = 'stat';
  expect(() => right.stat()).toThrow(expect.objectContaining({ code: 'EACCES' }));
  denied = null;
  expect(new TextDecoder().decode(await right.read(9))).toBe('a');
  await pipe.close();
  expect(log).toEqual([
    `created ${id}`,
    `write ${id}`,
    `write ${id}`,
    `read ${id}`,
    `poll ${id}`,
    `stat ${id}`,
    `read ${id}`,
    `destroyed ${id}`,
  ]);
});
