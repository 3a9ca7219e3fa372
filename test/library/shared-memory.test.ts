import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { IpcSystem, SharedMemory } from '../../src/index.ts';

const ada = { uid: 1000, gid: 1000, pid: 10 };
const bob = { uid: 1001, gid: 1001, pid: 20 };
const PAGE = 4096;

function users() {
  const system = new IpcSystem();
  return {
    system,
    ada: new SharedMemory({ system, caller: ada }),
    bob: new SharedMemory({ system, caller: bob }),
  };
}

test('S8: two callers attach one segment by its key, and share its bytes', async () => {
  const memory = users();
  const id = await memory.ada.get({ key: 0x1234, sizeBytes: 100, create: true, mode: 0o666 });
  expect(await memory.bob.get({ key: 0x1234, sizeBytes: 0 })).toBe(id);
  const [first, second] = [await memory.ada.attach(id), await memory.bob.attach(id)];
  expect(first.bytes).toHaveLength(100);
  first.bytes.set([1, 2, 3]);
  expect([...second.bytes.subarray(0, 4)]).toEqual([1, 2, 3, 0]);
  expect(memory.ada.stat(id)).toMatchObject({
    key: 0x1234,
    sizeBytes: 100,
    mode: 0o666,
    uid: 1000,
    creatorPid: 10,
    lastPid: 20,
    attachCount: 2,
    detachTime: null,
  });
  first.detach();
  expect(() => first.bytes).toThrow(expect.objectContaining({ code: 'EINVAL', syscall: 'shmdt' }));
  expect(() => {
    first.detach();
  }).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  expect(memory.ada.stat(id).attachCount).toBe(1);
  expect(memory.ada.stat(id).detachTime).toBeInstanceOf(Date);
});

test('S86: modes are checked for the caller', async () => {
  const memory = users();
  const id = await memory.ada.get({ key: 1, sizeBytes: PAGE, create: true, mode: 0o640 });
  await expect(memory.bob.attach(id)).rejects.toMatchObject({ code: 'EACCES', syscall: 'shmat' });
  await expect(memory.bob.get({ key: 1, sizeBytes: 0 })).rejects.toMatchObject({
    code: 'EACCES',
    syscall: 'shmget',
  });
  expect(() => memory.bob.stat(id)).toThrow(expect.objectContaining({ code: 'EACCES' }));
  expect(() => {
    memory.bob.set(id, { mode: 0o666 });
  }).toThrow(expect.objectContaining({ code: 'EPERM' }));
  expect(() => {
    memory.bob.remove(id);
  }).toThrow(expect.objectContaining({ code: 'EPERM', syscall: 'shmctl' }));
  memory.ada.set(id, { mode: 0o644 });
  expect(memory.ada.stat(id)).toMatchObject({ mode: 0o644, uid: 1000, gid: 1000 });
  await expect(memory.bob.attach(id)).rejects.toMatchObject({ code: 'EACCES' });
  expect(await memory.bob.attach(id, { readOnly: true })).toMatchObject({ isReadOnly: true, id });
});

test('S55: a removed segment goes with its last attachment', async () => {
  const memory = users();
  const id = await memory.ada.get({ key: 2, sizeBytes: PAGE, create: true });
  const attached = await memory.ada.attach(id);
  memory.ada.remove(id);
  await expect(memory.ada.get({ key: 2, sizeBytes: 0 })).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(memory.ada.attach(id)).rejects.toMatchObject({ code: 'EINVAL' });
  attached.bytes[0] = 1;
  attached.detach();
  expect(() => memory.ada.stat(id)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
});

test('the errors of a creation', async () => {
  const memory = users();
  await memory.system.setSysctl('kern.ipc.shmmni', 1);
  await expect(memory.ada.get({ key: 0, sizeBytes: 1 })).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(memory.ada.get({ key: 3, sizeBytes: 0, create: true })).rejects.toMatchObject({
    code: 'EINVAL',
  });
  await expect(memory.ada.get({ key: 3, sizeBytes: 1 })).rejects.toMatchObject({ code: 'ENOENT' });
  const id = await memory.ada.get({ key: 3, sizeBytes: 1, create: true });
  const again = { key: 3, sizeBytes: 1, create: true, exclusive: true };
  await expect(memory.ada.get(again)).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(memory.ada.get({ key: 'private', sizeBytes: 1 })).rejects.toMatchObject({ code: 'ENOSPC' });
  await memory.system.setSysctl('kern.ipc.shmseg', 1);
  await memory.ada.attach(id);
  await expect(memory.ada.attach(id)).rejects.toMatchObject({ code: 'EMFILE' });
  await memory.system.setSysctl('kern.ipc.shmmaxpgs', 1);
});

test('a thread shares the bytes of an attachment', async () => {
  const { ada: memory } = users();
  const { bytes } = await memory.attach(await memory.get({ key: 'private', sizeBytes: 8 }));
  const worker = new Worker("new Uint8Array(require('worker_threads').workerData)[3] = 9", {
    eval: true,
    workerData: bytes.buffer,
  });
  await once(worker, 'exit');
  expect(bytes[3]).toBe(9);
});

test('S63, S64: fork shares the attachments with a child, whose exit detaches its own', async () => {
  const memory = users();
  const id = await memory.ada.get({ key: 7, sizeBytes: 10, create: true });
  const { bytes } = await memory.ada.attach(id, { readOnly: true });
  const child = memory.ada.fork({ ...ada, pid: 11 });
  expect(memory.ada.stat(id)).toMatchObject({ attachCount: 2, lastPid: 10, detachTime: null });
  const [inherited] = child.attachments();
  expect(inherited).toMatchObject({ id, isReadOnly: true });
  bytes[0] = 5;
  expect(inherited!.bytes[0]).toBe(5);
  child.exit();
  expect(child.attachments()).toEqual([]);
  expect(memory.ada.stat(id)).toMatchObject({ attachCount: 1, lastPid: 10 });
  expect(memory.ada.stat(id).detachTime).toBeInstanceOf(Date);
  expect(memory.ada.attachments()).toHaveLength(1);
});
