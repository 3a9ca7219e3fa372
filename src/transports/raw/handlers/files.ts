import { EBADF, EBUSY, EINVAL, ENOENT, ENOTDIR } from '../../../kern/errno.ts';
import { FNONBLOCK } from '../../../kern/file.ts';
import { Poller } from '../../../kern/poll.ts';
import { WriteUio } from '../../../kern/uio.ts';
import { Directory } from '../../../vfs/directory.ts';
import { createAndOpen } from '../../common/create.ts';
import { IOCTL_GET_HANDLE, performIoctl } from '../../common/ioctl.ts';
import { fileFlags, followFlags, LINUX_O_APPEND, LINUX_O_TRUNC } from '../../common/open-flags.ts';
import { pollLinux } from '../../common/poll-bits.ts';
import { POLL_SCHEDULE_NOTIFY, READ_LOCKOWNER } from '../protocol/constants.ts';
import {
  CreateIn,
  EntryOut,
  IoctlIn,
  IoctlOut,
  OpenIn,
  OpenOut,
  PollIn,
  PollOut,
  ReadIn,
  ReleaseIn,
  WriteIn,
} from '../protocol/layouts.ts';
import type { Request } from '../protocol/request.ts';
import type { Session } from '../session.ts';
import { takeBackEntry } from './names.ts';
import { STARTED } from './results.ts';

export function open(session: Session, request: Request): number {
  const node = session.nodes.get(request.nodeid)?.node;
  if (node === undefined) return -ENOENT;
  const linuxFlags = request.u32(OpenIn.flags);
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
  const linuxFlags = request.u32(CreateIn.flags);
  const name = request.name(CreateIn.bytes);
  if (!(directory instanceof Directory)) return -ENOTDIR;
  if (name === null) return -EINVAL;
  const { fileSystem } = session;
  const file = createAndOpen(
    fileSystem,
    directory,
    name,
    request.u32(CreateIn.mode),
    linuxFlags,
    request.credentials,
  );
  if (typeof file === 'number') return file;
  const { node } = file;
  const nodeid = session.nodes.show(node);
  fileSystem.openFiles.identify(file, nodeid);
  session.reply.entryOut(nodeid, node, node.type);
  session.answerOpenWith(EntryOut.bytes, file);
  return EntryOut.bytes + OpenOut.bytes;
}

/** The kernel did not want a created and opened file: it will not be released, nor its nodeid forgotten. */
export function takeBackCreate(session: Session): void {
  session.abandon(session.openFile(session.reply.u64(EntryOut.bytes + OpenOut.fh))!);
  takeBackEntry(session);
}

export function read(session: Session, request: Request): number {
  const file = session.openFile(request.u64(ReadIn.fh));
  // A file opened for execution is read, and has neither direction.
  if (file === undefined || (file.writable && !file.readable)) return -EBADF;
  // A page of the cache may be read twice, by others, in part, or never: what is taken from a stream must not go there.
  if (file.isStream && (request.u32(ReadIn.readFlags) & READ_LOCKOWNER) === 0) return -EINVAL;
  const offset = request.u64(ReadIn.offset);
  followFlags(file, request.u32(ReadIn.flags));
  const thread = session.thread(request);
  thread.node = file.node;
  thread.file = file;
  thread.gather.reset(request.u32(ReadIn.size), offset);
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
  const file = session.openFile(request.u64(WriteIn.fh));
  if (file?.writable !== true) return -EBADF;
  const length = request.u32(WriteIn.size);
  if (length !== request.bodyBytes - WriteIn.bytes) return -EINVAL;
  const offset = request.u64(WriteIn.offset);
  const linuxFlags = request.u32(WriteIn.flags);
  followFlags(file, linuxFlags);
  session.placement?.wrote(request.credentials.pid, length, session.reporter.receivedMs);
  const thread = session.thread(request);
  thread.node = file.node;
  thread.file = file;
  // With O_APPEND the offset is the size that the kernel last saw, and says nothing.
  thread.isContinuation = file.isStream && offset > 0 && (linuxFlags & LINUX_O_APPEND) === 0;
  thread.source = new WriteUio([request.payload(WriteIn.bytes, length)], offset);
  thread.operation = file.ops.write(file, thread.source, request.credentials);
  return session.start(thread);
}

export function release(session: Session, request: Request): number {
  const file = session.openFile(request.u64(ReleaseIn.fh));
  if (file === undefined) return -EBADF;
  // The kernel keeps a file as long as calls on it are in progress.
  if (file.sleepers > 0) return -EBUSY;
  const thread = session.thread(request);
  thread.node = file.node;
  session.backings.close(file);
  thread.operation = session.fileSystem.openFiles.close(file);
  return session.start(thread);
}

/** poll, select and epoll: the bits that hold now, and one notification when that may have changed (T8). */
export function poll(session: Session, request: Request): number {
  const file = session.openFile(request.u64(PollIn.fh));
  if (file === undefined) return -EBADF;
  const kh = request.u64(PollIn.kh);
  let poller: Poller | null = null;
  if ((request.u32(PollIn.flags) & POLL_SCHEDULE_NOTIFY) !== 0) {
    poller = file.poller ??= new Poller(() => {
      session.notifyPoll(kh);
    });
  }
  const ready = pollLinux(file, request.u32(PollIn.events), poller, request.credentials);
  if (ready < 0) return ready;
  session.reply.setU32(PollOut.revents, ready);
  session.reply.setU32(PollOut.padding, 0);
  return PollOut.bytes;
}

/** The BSD commands under Linux-encoded numbers (T9); their argument is one int. */
export function ioctl(session: Session, request: Request): number {
  const file = session.openFile(request.u64(IoctlIn.fh));
  if (file === undefined) return -EBADF;
  if (request.u32(IoctlIn.cmd) === IOCTL_GET_HANDLE) {
    session.reply.clear(0, IoctlOut.bytes);
    session.reply.setU64(IoctlOut.bytes, file.handle);
    return IoctlOut.bytes + 8;
  }
  const argument = request.bodyBytes >= IoctlIn.bytes + 4 ? request.u32(IoctlIn.bytes) | 0 : 0;
  const command = request.u32(IoctlIn.cmd);
  const { result, value } = performIoctl(file, command, argument, request.credentials);
  if (result < 0) return result;
  const { reply } = session;
  reply.clear(0, IoctlOut.bytes);
  reply.setU32(IoctlOut.result, result);
  if (value === null) return IoctlOut.bytes;
  reply.setU32(IoctlOut.bytes, value);
  return IoctlOut.bytes + 4;
}

/** Byte-range locks: none on pipes (P137), none needed elsewhere. */
export function lock(): number {
  return -EINVAL;
}
