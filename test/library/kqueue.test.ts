import { expect, test } from 'vitest';
import { IpcSystem, Kqueue, type KqueueChange, Pipe } from '../../src/index.ts';

function world() {
  const system = new IpcSystem();
  return { system, kqueue: new Kqueue({ system }), pipe: new Pipe({ system }) };
}

test('K23: a wait ends with a pipe that can be read, and names its end', async () => {
  const { kqueue, pipe, system } = world();
  const [a, b] = pipe.ends;
  kqueue.change({ filter: 'read', ident: b, token: 'job' });
  const waiting = kqueue.wait();
  await a.write('hello');
  const [event, ...others] = await waiting;
  expect(others).toEqual([]);
  expect(event).toEqual({ filter: 'read', ident: b, data: 5, endOfFile: false, bits: 0, token: 'job' });
  expect(event!.ident).toBe(b);
  // Level-triggered: it comes again until it is read.
  expect(await kqueue.wait({ timeoutMs: 0 })).toHaveLength(1);
  await b.read(100);
  expect(await kqueue.wait({ timeoutMs: 0 })).toEqual([]);
  await a.close();
  expect(await kqueue.wait()).toMatchObject([{ endOfFile: true }]);
  expect(kqueue.pendingCount).toBe(1);
  await b.close();
  expect(kqueue.pendingCount).toBe(0);
  expect(await kqueue.wait({ timeoutMs: 0 })).toEqual([]);
  expect(system.waitingCount).toBe(0);
});

test('K82: timers: periodic, one-shot, deleted', async () => {
  const { kqueue } = world();
  const startMs = performance.now();
  kqueue.change(
    { filter: 'timer', ident: 1, periodMs: 5 },
    { filter: 'timer', ident: 2, periodMs: 1, flags: ['oneshot'] },
  );
  const seen = new Map<unknown, number>();
  while ((seen.get(1) ?? 0) < 3) {
    for (const { filter, ident, data } of await kqueue.wait()) {
      expect(filter).toBe('timer');
      seen.set(ident, (seen.get(ident) ?? 0) + data);
    }
  }
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(15);
  expect(seen.get(2)).toBe(1);
  kqueue.change({ action: 'delete', filter: 'timer', ident: 1 });
  expect(await kqueue.wait({ timeoutMs: 20 })).toEqual([]);
});

test('K90: user events: triggered with bits, cleared, disabled', async () => {
  const { kqueue } = world();
  kqueue.change({ filter: 'user', ident: 7, flags: ['clear'], token: 42 });
  expect(await kqueue.wait({ timeoutMs: 0 })).toEqual([]);
  const waiting = kqueue.wait();
  kqueue.change({ action: 'modify', filter: 'user', ident: 7, trigger: true, bits: 0xabc });
  expect(await waiting).toMatchObject([{ filter: 'user', ident: 7, bits: 0xabc, token: 42 }]);
  expect(await kqueue.wait({ timeoutMs: 0 })).toEqual([]);
  kqueue.change(
    { action: 'disable', filter: 'user', ident: 7 },
    { action: 'modify', filter: 'user', ident: 7, trigger: true },
  );
  expect(await kqueue.wait({ timeoutMs: 0 })).toEqual([]);
  kqueue.change({ action: 'enable', filter: 'user', ident: 7 });
  expect(await kqueue.wait({ timeoutMs: 0 })).toHaveLength(1);
});

test('a kqueue watches another', async () => {
  const { kqueue, system } = world();
  const inner = new Kqueue({ system });
  inner.change({ filter: 'user', ident: 1 });
  kqueue.change({ filter: 'read', ident: inner });
  const waiting = kqueue.wait();
  inner.change({ action: 'modify', filter: 'user', ident: 1, trigger: true });
  const [event] = await waiting;
  expect(event!.ident).toBe(inner);
});

test('the errors of a change, and those after it are not applied', async () => {
  const { kqueue, pipe, system } = world();
  const [a, b] = pipe.ends;
  const foreign = new Pipe({ system: new IpcSystem() }).ends[0];
  const fails = (code: string, ...changes: readonly KqueueChange[]): void => {
    expect(() => {
      kqueue.change(...changes);
    }).toThrow(expect.objectContaining({ code, syscall: 'kevent' }));
  };
  fails(
    'ENOENT',
    { action: 'delete', filter: 'user', ident: 9 },
    { filter: 'user', ident: 10, trigger: true },
  );
  fails('ENOENT', { action: 'delete', filter: 'user', ident: 10 });
  fails('EBADF', { filter: 'read', ident: foreign });
  fails('EINVAL', { filter: 'read', ident: 5 });
  fails('EINVAL', { filter: 'timer', ident: a });
  fails('EINVAL', { filter: 'timer', ident: 1, periodMs: 0 });
  fails('EINVAL', { filter: 'user', ident: 1, bits: 2 ** 24 });
  fails('EINVAL', { filter: 'frob' as 'read', ident: a });
  await b.close();
  fails('EPIPE', { filter: 'write', ident: a });
  fails('EBADF', { filter: 'read', ident: b });
  await system.setSysctl('kern.kq_calloutmax', 0);
  fails('ENOMEM', { filter: 'timer', ident: 1, periodMs: 10 });
  await expect(kqueue.wait({ count: 0 })).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(kqueue.wait({ timeoutMs: NaN })).rejects.toMatchObject({ code: 'EINVAL' });
});

test('a signal, a time-out and a close end a wait', async () => {
  const { kqueue, system } = world();
  const controller = new AbortController();
  const waiting = kqueue.wait(controller);
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'EINTR', syscall: 'kevent' });
  const startMs = performance.now();
  expect(await kqueue.wait({ timeoutMs: 20 })).toEqual([]);
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(20);
  const closed = kqueue.wait();
  await kqueue.close();
  await expect(closed).rejects.toMatchObject({ code: 'EBADF' });
  await expect(kqueue.wait()).rejects.toMatchObject({ code: 'EBADF' });
  expect(system.waitingCount).toBe(0);
});

test('events are iterated until the close', async () => {
  const { kqueue } = world();
  kqueue.change({ filter: 'timer', ident: 3, periodMs: 2 });
  let count = 0;
  for await (const { ident } of kqueue) {
    expect(ident).toBe(3);
    if (++count === 3) await kqueue.close();
  }
  expect(count).toBe(3);
});

test('K12, K18: kevent applies changes and collects events in one call', async () => {
  const { kqueue, pipe } = world();
  const [near, far] = pipe.ends;
  await far.write('abc');
  const { refused, events } = await kqueue.kevent([{ filter: 'read', ident: near, token: 't' }], {
    timeoutMs: 0,
  });
  expect(refused).toEqual([]);
  expect(events).toMatchObject([{ filter: 'read', ident: near, data: 3, token: 't' }]);
});

test('K18, K20: kevent reports changes that fail, applies the others and waits for nothing', async () => {
  const { kqueue, pipe } = world();
  const [near, far] = pipe.ends;
  await far.write('abc');
  const { refused, events } = await kqueue.kevent([
    { action: 'delete', filter: 'timer', ident: 9, token: 'none' },
    { filter: 'read', ident: near },
  ]);
  expect(refused).toEqual([{ code: 'ENOENT', filter: 'timer', ident: 9, token: 'none' }]);
  expect(events).toEqual([]);
  expect(kqueue.pendingCount).toBe(1);
});

test('K23: a signal ends kevent with EINTR, and the changes stay', async () => {
  const { kqueue } = world();
  const controller = new AbortController();
  const waiting = kqueue.kevent([{ filter: 'user', ident: 1, flags: ['clear'] }], {
    signal: controller.signal,
  });
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'EINTR', syscall: 'kevent' });
  kqueue.change({ action: 'modify', filter: 'user', ident: 1, trigger: true });
  expect(await kqueue.wait({ timeoutMs: 0 })).toMatchObject([{ filter: 'user', ident: 1 }]);
});
