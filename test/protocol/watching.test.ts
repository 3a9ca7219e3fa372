import { beforeEach, expect, test } from 'vitest';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { bytesOf } from '../support/engine.ts';
import {
  LINUX_O_RDWR,
  openHandle,
  openPipe,
  readBody,
  releaseBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { Body, FuseClient } from '../support/fuse-client.ts';

const POLLIN = 0x1;
const POLLOUT = 0x4;
const POLLRDNORM = 0x40;
const POLLWRNORM = 0x100;
const SCHEDULE_NOTIFY = 1;
const FIONREAD = 0x8004667f;
const FIOSETOWN = 0x4004667c;
const FIOGETOWN = 0x8004667b;

let client: FuseClient;
let reader: number;
let writer: number;
beforeEach(() => {
  client = new FuseClient();
  ({ reader, writer } = openPipe(client, 'a'));
});

/** struct fuse_poll_in; the revents that are answered. */
function poll(handle: number, kh: number, flags: number, events: number): number {
  const body = new Body()
    .u64(handle) // fh
    .u64(kh) // kh
    .u32(flags) // flags
    .u32(events); // events
  return client.request(Opcode.POLL, 0, body).payload.getUint32(0, true);
}

/** struct fuse_ioctl_in and one int; the error, and the int afterwards when one comes back. */
function ioctl(handle: number, command: number, value = 0): { error: number; value: number | null } {
  const body = new Body()
    .u64(handle) // fh
    .u32(0) // flags
    .u32(command) // cmd
    .u64(0x7fff_0000) // arg: the caller's pointer
    .u32(4) // in_size
    .u32(4) // out_size
    .bytes(new Uint8Array(Int32Array.of(value).buffer));
  const { error, payload } = client.request(Opcode.IOCTL, 0, body);
  return { error, value: payload.byteLength === 20 ? payload.getInt32(16, true) : null };
}

function write(text: string): void {
  expect(client.error(Opcode.WRITE, 0, writeBody(writer, bytesOf(text)))).toBe(0);
}

test('POLL says what holds now, as Linux numbers it', () => {
  expect(poll(reader, 1, 0, POLLIN | POLLRDNORM)).toBe(0);
  expect(poll(writer, 2, 0, POLLOUT | POLLWRNORM)).toBe(POLLOUT | POLLWRNORM);
  expect(poll(writer, 2, 0, POLLOUT)).toBe(POLLOUT);
  write('x');
  expect(poll(reader, 1, 0, POLLIN | POLLRDNORM)).toBe(POLLIN | POLLRDNORM);
  expect(poll(reader, 1, 0, POLLIN)).toBe(POLLIN);
});

test('T8: without SCHEDULE_NOTIFY nobody is notified', () => {
  poll(reader, 71, 0, POLLIN);
  write('x');
  expect(client.notifiedPolls).toEqual([]);
});

test('T8: one scheduled POLL has one notification, however much happens', () => {
  poll(reader, 71, SCHEDULE_NOTIFY, POLLIN);
  poll(reader, 71, SCHEDULE_NOTIFY, POLLIN);
  expect(client.notifiedPolls).toEqual([]);
  write('x');
  expect(client.notifiedPolls).toEqual([71]);
  write('y');
  client.request(Opcode.READ, 0, readBody(reader, 10));
  write('z');
  expect(client.notifiedPolls).toEqual([71]);
  poll(reader, 71, SCHEDULE_NOTIFY, POLLIN);
  write('x');
  expect(client.notifiedPolls).toEqual([71, 71]);
});

test('a released file is not notified any more', () => {
  poll(reader, 71, SCHEDULE_NOTIFY, POLLIN);
  client.request(Opcode.RELEASE, 0, releaseBody(reader));
  client.request(Opcode.RELEASE, 0, releaseBody(writer));
  expect(client.notifiedPolls).toEqual([]);
});

test('T9: IOCTL serves the BSD commands under Linux numbers', () => {
  write('hello');
  expect(ioctl(reader, FIONREAD)).toEqual({ error: 0, value: 5 });
  expect(ioctl(reader, FIOSETOWN, 500)).toEqual({ error: 0, value: null });
  expect(ioctl(reader, FIOGETOWN)).toEqual({ error: 0, value: 500 });
  expect(ioctl(reader, FIOSETOWN, -777)).toEqual({ error: 0, value: null });
  expect(ioctl(reader, FIOGETOWN)).toEqual({ error: 0, value: -777 });
  expect(ioctl(reader, FIOSETOWN, 5000).error).toBe(-3);
  expect(ioctl(reader, 0x5401)).toEqual({ error: -25, value: null });
});

test('who polls the control file of segments is told of answers to what others write (simulation, seed 1)', () => {
  const handle = openHandle(client, walk(client, 'shm/ctl'), LINUX_O_RDWR);
  expect(poll(handle, 72, SCHEDULE_NOTIFY, POLLIN)).toBe(0);
  client.request(Opcode.WRITE, 0, writeBody(handle, bytesOf('stat 7\n')));
  expect(client.notifiedPolls).toEqual([72]);
  expect(poll(handle, 72, 0, POLLIN)).toBe(POLLIN);
});
