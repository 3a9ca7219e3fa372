/**
 * Waits for events on a pipe and answers each with the time at which it knew, eight bytes of nanoseconds, on a FIFO of the
 * kernel. Edge-triggered, so that nothing has to be read: epoll on a FIFO of the kernel, or a knote with EV_CLEAR.
 *
 *   watch.js epoll FIFO ANSWERS
 *   watch.js kqueue PIPE ANSWERS KQUEUE.BIN
 */
import { constants, openSync, readSync, writeSync } from 'node:fs';
import koffi from 'koffi';

const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;
const EPOLLHUP = 0x10;
const EPOLLET = 2 ** 31;
const EVFILT_READ = -1;
const EV_ADD_CLEAR = 0x21;
const EV_EOF = 0x8000;

type Call = (...args: (number | Buffer)[]) => number;

function waitByEpoll(descriptor: number): () => boolean {
  const libc = koffi.load(null);
  const create = libc.func('int epoll_create1(int)') as Call;
  const control = libc.func('int epoll_ctl(int, int, int, void *)') as Call;
  const wait = libc.func('int epoll_wait(int, void *, int, int)') as Call;
  const epoll = create(0);
  // struct epoll_event is packed on x86 and is not elsewhere: the events come first either way.
  const event = Buffer.alloc(16);
  event.writeUInt32LE(EPOLLIN + EPOLLET, 0);
  control(epoll, EPOLL_CTL_ADD, descriptor, event);
  return () => {
    wait(epoll, event, 1, -1);
    return (event.readUInt32LE(0) & EPOLLHUP) === 0;
  };
}

function waitByKqueue(descriptor: number, path: string): () => boolean {
  const kqueue = openSync(path, constants.O_RDWR);
  const record = Buffer.alloc(32);
  record.writeBigUInt64LE(BigInt(descriptor), 0);
  record.writeInt16LE(EVFILT_READ, 8);
  record.writeUInt16LE(EV_ADD_CLEAR, 10);
  writeSync(kqueue, record);
  return () => {
    readSync(kqueue, record);
    return (record.readUInt16LE(10) & EV_EOF) === 0;
  };
}

const [kind, path, answers, kqueue] = process.argv.slice(2);
const descriptor = openSync(path!, constants.O_RDONLY | constants.O_NONBLOCK);
const wait = kind === 'epoll' ? waitByEpoll(descriptor) : waitByKqueue(descriptor, kqueue!);
process.stdout.write('ready\n');
const output = openSync(answers!, 'w');
const stamp = Buffer.alloc(8);
while (wait()) {
  stamp.writeBigInt64LE(process.hrtime.bigint());
  writeSync(output, stamp);
}
