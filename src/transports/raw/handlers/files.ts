import { EBADF, EBUSY, EINVAL, ENOENT, ENOTDIR } from '../../../kern/errno.ts';
import { FNONBLOCK } from '../../../kern/file.ts';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDNORM,
  Poller,
} from '../../../kern/poll.ts';
import { WriteUio } from '../../../kern/uio.ts';
import { Directory } from '../../../vfs/directory.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import { createAndOpen } from '../../common/create.ts';
import { fileFlags, LINUX_O_APPEND, LINUX_O_NONBLOCK, LINUX_O_TRUNC } from '../../common/open-flags.ts';
import {
  ENTRY_OUT_BYTES,
  IOCTL_OUT_BYTES,
  OPEN_OUT_BYTES,
  POLL_SCHEDULE_NOTIFY,
  WRITE_IN_BYTES,
} from '../protocol/constants.ts';
import { IOCTL_GET_HANDLE, ioctlCommands } from '../protocol/ioctl.ts';
import type { Request } from '../protocol/request.ts';
import type { Session } from '../session.ts';
import { STARTED } from './results.ts';

const POLL_OUT_BYTES = 8;
/** POLLWRNORM and POLLRDHUP of Linux: the first is FreeBSD's POLLOUT, the second has the number of its POLLINIGNEOF. */
const LINUX_POLLWRNORM = 0x100;
const BSD_POLL_BITS = POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLRDBAND;

/** fcntl(F_SETFL) reaches the server with the next request that carries the flags. */
function followFlags(file: OpenFile, linuxFlags: number): void {
  if ((linuxFlags & LINUX_O_NONBLOCK) !== 0) file.flags |= FNONBLOCK;
  else file.flags &= ~FNONBLOCK;
}

export function open(session: Session, request: Request): number {
  const node = session.nodes.get(request.nodeid)?.node;
  if (node === undefined) return -ENOENT;
  const linuxFlags = request.u32(0);
  if ((linuxFlags & LINUX_O_TRUNC) !== 0 && !session.backings.mayTruncate(node)) return -EBUSY;
  const file = session.fileSystem.openFiles.add(node, fileFlags(linuxFlags), request.credentials);
  if (typeof file === 'number') return file;
  session.fileSystem.openFiles.identify(file, request.nodeid);
  const thread = session.thread(request);
  thread.node = node;
  thread.file = file;
  thread.operation = node.open(file);
  return session.start(thread);
}

/** Makes a pipe and opens it, at once: the kernel holds the directory's lock (T4). */
export function create(session: Session, request: Request): number {
  const directory = session.nodes.get(request.nodeid)?.node;
  const linuxFlags = request.u32(0);
  const name = request.name(16);
  if (!(directory instanceof Directory)) return -ENOTDIR;
  if (name === null) return -EINVAL;
  const { fileSystem } = session;
  const file = createAndOpen(fileSystem, directory, name, request.u32(4), linuxFlags, request.credentials);
  if (typeof file === 'number') return file;
  const { node } = file;
  const nodeid = session.nodes.show(node);
  fileSystem.openFiles.identify(file, nodeid);
  session.reply.entryOut(nodeid, node, node.type);
  session.answerOpenWith(ENTRY_OUT_BYTES, file);
  return ENTRY_OUT_BYTES + OPEN_OUT_BYTES;
}

export function read(session: Session, request: Request): number {
  const file = session.fileSystem.openFiles.get(request.u64(0));
  if (file === undefined) return -EBADF;
  const offset = request.u64(8);
  followFlags(file, request.u32(32));
  const thread = session.thread(request);
  thread.node = file.node;
  thread.gather.reset(request.u32(16), offset);
  thread.operation = file.ops.read(file, thread.gather, request.credentials);
  if (!file.isStream || offset === 0) return session.start(thread);
  // A stream has no position: an offset counts what this read(2) has got, and it must not wait for more (P33).
  thread.isContinuation = true;
  const { flags } = file;
  file.flags |= FNONBLOCK;
  session.start(thread);
  file.flags = flags;
  return STARTED;
}

export function write(session: Session, request: Request): number {
  const file = session.fileSystem.openFiles.get(request.u64(0));
  if (file === undefined) return -EBADF;
  const length = request.u32(16);
  if (length !== request.bodyBytes - WRITE_IN_BYTES) return -EINVAL;
  const offset = request.u64(8);
  const linuxFlags = request.u32(32);
  followFlags(file, linuxFlags);
  const thread = session.thread(request);
  thread.node = file.node;
  // With O_APPEND the offset is the size that the kernel last saw, and says nothing.
  thread.isContinuation = file.isStream && offset > 0 && (linuxFlags & LINUX_O_APPEND) === 0;
  thread.source = new WriteUio([request.payload(WRITE_IN_BYTES, length)], offset);
  thread.operation = file.ops.write(file, thread.source, request.credentials);
  return session.start(thread);
}

export function release(session: Session, request: Request): number {
  const file = session.fileSystem.openFiles.get(request.u64(0));
  if (file === undefined) return -EBADF;
  const thread = session.thread(request);
  thread.node = file.node;
  session.backings.close(file);
  thread.operation = session.fileSystem.openFiles.close(file);
  return session.start(thread);
}

/** poll, select and epoll: the bits that hold now, and one notification when that may have changed (T8). */
export function poll(session: Session, request: Request): number {
  const file = session.fileSystem.openFiles.get(request.u64(0));
  if (file === undefined) return -EBADF;
  const kh = request.u64(8);
  const asked = request.u32(20);
  let events = asked & BSD_POLL_BITS;
  if ((asked & LINUX_POLLWRNORM) !== 0) events |= POLLOUT;
  let poller: Poller | null = null;
  if ((request.u32(16) & POLL_SCHEDULE_NOTIFY) !== 0) {
    poller = file.poller ??= new Poller(() => {
      session.notifyPoll(kh);
    });
  }
  const ready = file.ops.poll(file, events, poller, request.credentials);
  if (ready < 0) return ready;
  const also = (ready & POLLOUT) !== 0 ? LINUX_POLLWRNORM : 0;
  session.reply.setU32(0, (ready | also) & (asked | POLLHUP | POLLERR));
  session.reply.setU32(4, 0);
  return POLL_OUT_BYTES;
}

/** The BSD commands under Linux-encoded numbers (T9); their argument is one int. */
export function ioctl(session: Session, request: Request): number {
  const file = session.fileSystem.openFiles.get(request.u64(0));
  if (file === undefined) return -EBADF;
  if (request.u32(12) === IOCTL_GET_HANDLE) {
    session.reply.clear(0, IOCTL_OUT_BYTES);
    session.reply.setU64(IOCTL_OUT_BYTES, file.handle);
    return IOCTL_OUT_BYTES + 8;
  }
  const command = ioctlCommands.get(request.u32(12));
  const argument = { value: request.bodyBytes >= 36 ? request.u32(32) | 0 : 0 };
  const result = file.ops.ioctl(file, command?.bsdNumber ?? 0, argument, request.credentials);
  if (result < 0) return result;
  const { reply } = session;
  reply.clear(0, IOCTL_OUT_BYTES);
  reply.setU32(0, result);
  if (command?.returnsValue !== true) return IOCTL_OUT_BYTES;
  reply.setU32(IOCTL_OUT_BYTES, argument.value);
  return IOCTL_OUT_BYTES + 4;
}

/** Byte-range locks: none on pipes (P137), none needed elsewhere. */
export function lock(): number {
  return -EINVAL;
}
