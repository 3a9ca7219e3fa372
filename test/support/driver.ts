/**
 * A process that makes one system call after the other, as lines on its standard input say: C-level cases without a compiler.
 * Calls may block; the test then goes on with other drivers.
 */
import { fstatSync, readSync, type Stats, statSync, writeSync } from 'node:fs';
import koffi from 'koffi';
import { DriverMemory } from './driver-memory.ts';
import type { DriverCall, DriverResult } from './driver-protocol.ts';

type Call = (...args: (number | string | ArrayBufferView | null)[]) => number;
const libc = koffi.load(null);
const define = (prototype: string): Call => libc.func(prototype);

const open = define('int open(const char*, int, unsigned int)');
const dup = define('int dup(int)');
const close = define('int close(int)');
const read = define('int read(int, void*, size_t)');
const pread = define('int pread(int, void*, size_t, long)');
const write = define('int write(int, void*, size_t)');
const pwrite = define('int pwrite(int, void*, size_t, long)');
const writev = define('int writev(int, void*, int)');
const lseek = define('long lseek(int, long, int)');
const ftruncate = define('int ftruncate(int, long)');
const fchmod = define('int fchmod(int, unsigned int)');
const chmod = define('int chmod(const char*, unsigned int)');
const signal = define('long signal(int, long)');
const fcntl = define('int fcntl(int, int, long)');
const fcntlLock = define('int fcntl(int, int, void*)');
const ioctl = define('int ioctl(int, unsigned long, void*)');
const poll = define('int poll(void*, unsigned long, int)');
const select = define('int select(int, void*, void*, void*, void*)');
const epollCreate = define('int epoll_create1(int)');
const epollControl = define('int epoll_ctl(int, int, int, void*)');
const epollWait = define('int epoll_wait(int, void*, int, int)');
const renameat2 = define('int renameat2(int, const char*, int, const char*, unsigned int)');
const sendfile = define('int sendfile(int, int, void*, size_t)');

const PAGE_BYTES = 4096;
const AT_FDCWD = -100;
const EPOLL_CTL_ADD = 1;
const SIGPIPE = 13;
const SIG_DFL = 0;
const SIG_IGN = 1;
const F_SETLK = 6;
const F_WRLCK = 1;
const FD_SET_BYTES = 128;
const MAX_EPOLL_EVENTS = 16;

function patternAt(index: number): number {
  return (index * 7 + (index >> 8) * 13) & 0xff;
}

/** Memory that starts at a page: only then does a request hold a whole MiB of a long read or write. */
function pages(count: number): Uint8Array {
  const memory = new Uint8Array(count + PAGE_BYTES);
  const start = -Number(koffi.address(memory) % BigInt(PAGE_BYTES)) + PAGE_BYTES;
  return memory.subarray(start, start + count);
}

export function patternBytes(count: number): Uint8Array {
  const bytes = pages(count);
  for (let index = 0; index < count; index++) bytes[index] = patternAt(index);
  return bytes;
}

/** How many bytes are not those of the pattern from `offset` on. */
function countWrong(bytes: Uint8Array, offset: number): number {
  let wrong = 0;
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index] !== patternAt(offset + index)) wrong++;
  }
  return wrong;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

function descriptorSet(descriptors: readonly number[]): Uint8Array {
  const set = new Uint8Array(FD_SET_BYTES);
  for (const fd of descriptors) set[fd >> 3]! |= 1 << (fd & 7);
  return set;
}

function isInSet(set: Uint8Array, fd: number): boolean {
  return (set[fd >> 3]! & (1 << (fd & 7))) !== 0;
}

type Outcome = Omit<DriverResult, 'elapsedMs'>;

/** A plain result: the errno must be fetched before anything else runs. */
function outcome(result: number): Outcome {
  return { result: result < 0 ? -koffi.errno() : result };
}

function readInto(count: number, call: (buffer: Uint8Array) => number): Outcome {
  const buffer = new Uint8Array(Math.max(count, 1));
  const { result } = outcome(call(buffer));
  return { result, text: textOf(buffer.subarray(0, Math.max(result, 0))) };
}

function statOutcome({ mode, size, ino, nlink, mtimeMs, atimeMs, ctimeMs }: Stats): Outcome {
  return { result: 0, stat: { mode, size, ino, nlink, mtimeMs, atimeMs, ctimeMs } };
}

function perform(request: DriverCall): Outcome {
  switch (request.call) {
    case 'open':
      return outcome(open(request.path, request.flags, request.mode ?? 0o644));
    case 'close':
      return outcome(close(request.fd));
    case 'read':
      return readInto(request.count, (buffer) => read(request.fd, buffer, request.count));
    case 'readPattern': {
      const buffer = pages(request.count);
      const { result } = outcome(read(request.fd, buffer, request.count));
      return { result, value: countWrong(buffer.subarray(0, Math.max(result, 0)), request.offset) };
    }
    case 'pread':
      return readInto(request.count, (buffer) => pread(request.fd, buffer, request.count, request.offset));
    case 'write': {
      const bytes = Buffer.from(request.text, 'latin1');
      return outcome(write(request.fd, bytes, bytes.length));
    }
    case 'writeHex': {
      const bytes = Buffer.from(request.hex, 'hex');
      return outcome(write(request.fd, bytes, bytes.length));
    }
    case 'readHex': {
      const buffer = Buffer.alloc(Math.max(request.count, 1));
      const { result } = outcome(read(request.fd, buffer, request.count));
      return { result, text: buffer.toString('hex', 0, Math.max(result, 0)) };
    }
    case 'pwrite': {
      const bytes = Buffer.from(request.text, 'latin1');
      return outcome(pwrite(request.fd, bytes, bytes.length, request.offset));
    }
    case 'writePattern':
      return outcome(write(request.fd, patternBytes(request.count), request.count));
    case 'writev': {
      const parts = request.counts.map((count) => patternBytes(count));
      const vector = new BigUint64Array(parts.flatMap((part) => [koffi.address(part), BigInt(part.length)]));
      return outcome(writev(request.fd, vector, parts.length));
    }
    case 'lseek':
      return outcome(lseek(request.fd, request.offset, request.whence));
    case 'ftruncate':
      return outcome(ftruncate(request.fd, request.size));
    case 'fchmod':
      return outcome(fchmod(request.fd, request.mode));
    case 'fstat':
      return statOutcome(fstatSync(request.fd));
    case 'stat':
      return statOutcome(statSync(request.path));
    case 'chmod':
      return outcome(chmod(request.path, request.mode));
    case 'sigpipe':
      signal(SIGPIPE, request.action === 'default' ? SIG_DFL : SIG_IGN);
      return { result: 0 };
    case 'fcntl':
      return outcome(fcntl(request.fd, request.command, request.argument));
    case 'setlk': {
      const lock = new DataView(new ArrayBuffer(32));
      lock.setInt16(0, F_WRLCK, true);
      return outcome(fcntlLock(request.fd, F_SETLK, lock));
    }
    case 'ioctl': {
      const argument = new Int32Array([request.argument]);
      return { ...outcome(ioctl(request.fd, request.request, argument)), value: argument[0]! };
    }
    case 'ioctl64': {
      const argument = new BigUint64Array(1);
      return { ...outcome(ioctl(request.fd, request.request, argument)), text: String(argument[0]) };
    }
    case 'dup':
      return outcome(dup(request.fd));
    case 'poll': {
      const set = new DataView(new ArrayBuffer(8 * request.fds.length));
      request.fds.forEach(({ fd, events }, index) => {
        set.setInt32(8 * index, fd, true);
        set.setUint16(8 * index + 4, events, true);
      });
      const polled = outcome(poll(set, request.fds.length, request.timeoutMs));
      return { ...polled, events: request.fds.map((_, index) => set.getUint16(8 * index + 6, true)) };
    }
    case 'select': {
      const reads = descriptorSet(request.reads);
      const writes = descriptorSet(request.writes);
      const time = new BigInt64Array([
        BigInt(Math.floor(request.timeoutMs / 1000)),
        BigInt((request.timeoutMs % 1000) * 1000),
      ]);
      const highest = Math.max(...request.reads, ...request.writes) + 1;
      const selected = outcome(select(highest, reads, writes, null, time));
      const ready = [
        ...request.reads.filter((fd) => isInSet(reads, fd)),
        ...request.writes.filter((fd) => isInSet(writes, fd)),
      ];
      return { ...selected, events: selected.result > 0 ? ready : [] };
    }
    case 'epollCreate':
      return outcome(epollCreate(0));
    case 'epollAdd': {
      // struct epoll_event is packed on x86-64 and padded elsewhere.
      const event = new DataView(new ArrayBuffer(16));
      event.setUint32(0, request.events, true);
      event.setInt32(process.arch === 'x64' ? 4 : 8, request.fd, true);
      return outcome(epollControl(request.epfd, EPOLL_CTL_ADD, request.fd, event));
    }
    case 'epollWait': {
      const stride = process.arch === 'x64' ? 12 : 16;
      const set = new DataView(new ArrayBuffer(16 * MAX_EPOLL_EVENTS));
      const waited = outcome(epollWait(request.epfd, set, MAX_EPOLL_EVENTS, request.timeoutMs));
      const events: number[] = [];
      for (let index = 0; index < waited.result; index++) {
        events.push(set.getInt32(stride * index + (stride === 12 ? 4 : 8), true));
        events.push(set.getUint32(stride * index, true));
      }
      return { ...waited, events };
    }
    case 'sendfile':
      return outcome(sendfile(request.to, request.from, null, request.count));
    case 'epollRace':
      return epollRace(request.epfd, request.reader, request.writer, request.rounds);
    case 'renameat2':
      return outcome(renameat2(AT_FDCWD, request.from, AT_FDCWD, request.to, request.flags));
    case 'closeRace':
      return closeRace(request.path, request.fd, request.rounds);
    default:
      return memory.perform(request);
  }
}

const memory = new DriverMemory();

function epollRace(epfd: number, reader: number, writer: number, rounds: number): Outcome {
  const set = new DataView(new ArrayBuffer(16 * MAX_EPOLL_EVENTS));
  const byte = new Uint8Array(1);
  let misses = 0;
  for (let round = 0; round < rounds; round++) {
    const written = outcome(write(writer, byte, 1));
    if (written.result !== 1) return written;
    if (epollWait(epfd, set, MAX_EPOLL_EVENTS, 0) !== 1) misses++;
    if (read(reader, byte, 1) !== 1) misses++;
  }
  return { result: misses };
}

function closeRace(path: string, fd: number, rounds: number): Outcome {
  const O_WRONLY_NONBLOCK = 0o4001;
  const EAGAIN = 11;
  const byte = new Uint8Array(1);
  let misses = 0;
  for (let round = 0; round < rounds; round++) {
    const writer = open(path, O_WRONLY_NONBLOCK, 0);
    if (writer < 0) return outcome(writer);
    const withWriter = read(fd, byte, 1);
    if (withWriter !== -1 || koffi.errno() !== EAGAIN) misses++;
    close(writer);
    if (read(fd, byte, 1) !== 0) misses++;
  }
  return { result: misses };
}

// Signals that a test sends shall end blocked calls and nothing else.
process.on('SIGUSR1', () => undefined);

const chunk = Buffer.alloc(65536);
let pending = '';
writeSync(1, '{"result":0,"elapsedMs":0}\n');
for (;;) {
  const newline = pending.indexOf('\n');
  if (newline < 0) {
    const count = readSync(0, chunk);
    if (count === 0) break;
    pending += chunk.toString('utf8', 0, count);
    continue;
  }
  const request = JSON.parse(pending.slice(0, newline)) as DriverCall;
  pending = pending.slice(newline + 1);
  const startMs = performance.now();
  const result = perform(request);
  const elapsedMs = performance.now() - startMs;
  let line = JSON.stringify({ ...result, elapsedMs }) + '\n';
  while (line !== '') line = line.slice(writeSync(1, line));
}
