import { EACCES, EBADF, EBUSY, EINVAL, ENOENT, ENOTDIR } from '../../../kern/errno.ts';
import { FNONBLOCK } from '../../../kern/file.ts';
import { Poller } from '../../../kern/poll.ts';
import { WriteUio } from '../../../kern/uio.ts';
import { exchangeWithFile, openNode, readFile, writeFile } from '../../../vfs/calls.ts';
import { Directory } from '../../../vfs/directory.ts';
import { accessOf, mayAccess, withGroups } from '../../../vfs/permission.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import { createAndOpen } from '../../common/create.ts';
import { IOCTL_GET_HANDLE, ioctlSizeBytes, isKeventCommand, performIoctl } from '../../common/ioctl.ts';
import { fileFlags, followFlags, LINUX_O_APPEND } from '../../common/open-flags.ts';
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
import type { Reply } from '../protocol/reply.ts';
import type { Request } from '../protocol/request.ts';
import type { Answered, InFlight } from '../session/in-flight.ts';
import type { ServerParts } from '../session/server-parts.ts';
import { STREAM_SIZE_BYTES } from '../session/stream-sizes.ts';
import { takeBackEntry } from './names.ts';

type OpenParts = Pick<ServerParts, 'fileSystem' | 'nodes' | 'openings' | 'reply' | 'sizes'>;

export function open({ fileSystem, nodes, sizes }: OpenParts, request: Request, call: InFlight): Answered {
  const entry = nodes.get(request.nodeid);
  if (entry === undefined) return call.answer(-ENOENT);
  const { node } = entry;
  const { openFiles, kernel } = fileSystem;
  const linuxFlags = request.u32(OpenIn.flags);
  const flags = fileFlags(linuxFlags);
  if (sizes.isEndless(request.nodeid, entry)) {
    // Through /proc/PID/fd. The kernel has checked the mode that it has stored, which is that of the first open.
    const credentials = withGroups(request.credentials, kernel.host);
    if (!mayAccess(node, credentials, accessOf(flags))) return call.answer(-EACCES);
  }
  const file = openFiles.add(node, flags, request.credentials);
  if (typeof file === 'number') return call.answer(file);
  openFiles.identify(file, request.nodeid);
  call.isAppender = isAppender(file, linuxFlags);
  call.flags = linuxFlags;
  call.node = node;
  call.file = file;
  return call.run(openNode(file));
}

/** Whether each write of a file is to be put at the end, and nothing is read from it. */
function isAppender(file: OpenFile, linuxFlags: number): boolean {
  return (linuxFlags & LINUX_O_APPEND) !== 0 && !file.readable;
}

/** Makes a pipe and opens it, at once: the kernel holds the directory's lock (T4). */
export function create({ fileSystem, nodes, openings, reply, sizes }: OpenParts, request: Request): number {
  const directory = nodes.get(request.nodeid)?.node;
  const linuxFlags = request.u32(CreateIn.flags);
  const name = request.name(CreateIn.bytes);
  if (!(directory instanceof Directory)) return -ENOTDIR;
  if (name === null) return -EINVAL;
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
  const nodeid = nodes.show(node);
  fileSystem.openFiles.identify(file, nodeid);
  reply.entryOut(nodeid, node, node.type);
  const isEndless = sizes.opened(file, isAppender(file, linuxFlags), true);
  if (isEndless) reply.size(EntryOut.attr, STREAM_SIZE_BYTES);
  openings.answerWith(EntryOut.bytes, file);
  return EntryOut.bytes + OpenOut.bytes;
}

/** The kernel did not want a created and opened file: it will not be released, nor its nodeid forgotten. */
export function takeBackCreate(parts: OpenParts & Pick<ServerParts, 'handles'>): void {
  const { handles, openings, reply } = parts;
  openings.abandon(handles.get(reply.u64(EntryOut.bytes + OpenOut.fh))!);
  takeBackEntry(parts);
}

export function read(
  { handles, textSizes }: Pick<ServerParts, 'handles' | 'textSizes'>,
  request: Request,
  call: InFlight,
): Answered {
  const file = handles.get(request.u64(ReadIn.fh));
  // A file opened for execution is read, and has neither direction.
  if (file === undefined || (file.writable && !file.readable)) return call.answer(-EBADF);
  // A page of the cache may be read twice, by others, in part, or never: what is taken from a stream must not go there.
  const isForPages = (request.u32(ReadIn.readFlags) & READ_LOCKOWNER) === 0;
  if (isForPages && (file.isStream || !textSizes.mayFillPages(file))) return call.answer(-EINVAL);
  const offset = request.u64(ReadIn.offset);
  followFlags(file, request.u32(ReadIn.flags));
  call.node = file.node;
  call.file = file;
  call.gather.reset(request.u32(ReadIn.size), offset);
  // A stream has no position: an offset counts what this read(2) has got, and it must not wait for more (P33).
  call.isContinuation = file.isStream && offset > 0;
  const operation = readFile(file, call.gather, request.credentials, call.isContinuation);
  if (!call.isContinuation) return call.run(operation);
  const { flags } = file;
  file.flags |= FNONBLOCK;
  const answered = call.run(operation);
  file.flags = flags;
  return answered;
}

export function write(
  { handles, writers }: Pick<ServerParts, 'handles' | 'writers'>,
  request: Request,
  call: InFlight,
): Answered {
  const file = handles.get(request.u64(WriteIn.fh));
  if (file?.writable !== true) return call.answer(-EBADF);
  const length = request.u32(WriteIn.size);
  if (length !== request.bodyBytes - WriteIn.bytes) return call.answer(-EINVAL);
  const offset = request.u64(WriteIn.offset);
  const linuxFlags = request.u32(WriteIn.flags);
  followFlags(file, linuxFlags);
  writers.wrote(request.credentials.pid, length, call.receivedMs);
  call.node = file.node;
  call.file = file;
  // With O_APPEND the offset is the size that the kernel last saw, and says nothing.
  call.isContinuation = file.isStream && offset > 0 && (linuxFlags & LINUX_O_APPEND) === 0;
  call.source = new WriteUio([request.payload(WriteIn.bytes, length)], offset);
  return call.run(writeFile(file, call.source, request.credentials, call.isContinuation));
}

export function release(
  { backings, fileSystem, handles }: Pick<ServerParts, 'backings' | 'fileSystem' | 'handles'>,
  request: Request,
  call: InFlight,
): Answered {
  const file = handles.get(request.u64(ReleaseIn.fh));
  if (file === undefined) return call.answer(-EBADF);
  // The kernel keeps a file as long as calls on it are in progress.
  if (handles.isBusy(file)) return call.answer(-EBUSY);
  handles.remove(file);
  call.node = file.node;
  call.released = file;
  backings.close(file);
  return call.run(fileSystem.openFiles.close(file));
}

/** poll, select and epoll: the bits that hold now, and one notification when that may have changed (T8). */
export function poll(
  { handles, notices, reply }: Pick<ServerParts, 'handles' | 'notices' | 'reply'>,
  request: Request,
): number {
  const file = handles.get(request.u64(PollIn.fh));
  if (file === undefined) return -EBADF;
  const kh = request.u64(PollIn.kh);
  let poller: Poller | null = null;
  if ((request.u32(PollIn.flags) & POLL_SCHEDULE_NOTIFY) !== 0) {
    poller = file.poller ??= new Poller(() => {
      notices.add(kh);
    });
  }
  const ready = pollLinux(file, request.u32(PollIn.events), poller, request.credentials);
  if (ready < 0) return ready;
  reply.setU32(PollOut.revents, ready);
  reply.setU32(PollOut.padding, 0);
  return PollOut.bytes;
}

/** The BSD commands under Linux-encoded numbers (T9), kevent(2), and the question for a handle. */
export function ioctl(
  { handles, reply }: Pick<ServerParts, 'handles' | 'reply'>,
  request: Request,
  call: InFlight,
): Answered {
  const file = handles.get(request.u64(IoctlIn.fh));
  if (file === undefined) return call.answer(-EBADF);
  const command = request.u32(IoctlIn.cmd);
  if (isKeventCommand(command)) {
    const sizeBytes = ioctlSizeBytes(command);
    if (sizeBytes !== request.bodyBytes - IoctlIn.bytes) return call.answer(-EINVAL);
    call.gather.reset(sizeBytes, 0);
    const input = request.payload(IoctlIn.bytes, sizeBytes);
    const exchange = exchangeWithFile(file, input, call.gather, request.credentials);
    if (typeof exchange === 'number') return call.answer(exchange);
    call.node = file.node;
    call.file = file;
    call.flags = command;
    return call.run(exchange);
  }
  if (command === IOCTL_GET_HANDLE) {
    reply.clear(0, IoctlOut.bytes);
    reply.setU64(IoctlOut.bytes, file.handle);
    return call.answer(IoctlOut.bytes + 8);
  }
  return call.answer(ioctlOfInteger(file, command, reply, request));
}

/** A command whose argument is one int. */
function ioctlOfInteger(file: OpenFile, command: number, reply: Reply, request: Request): number {
  const argument = request.bodyBytes >= IoctlIn.bytes + 4 ? request.u32(IoctlIn.bytes) | 0 : 0;
  const { result, value } = performIoctl(file, command, argument, request.credentials);
  if (result < 0) return result;
  reply.clear(0, IoctlOut.bytes);
  reply.setU32(IoctlOut.result, result);
  if (value === null) return IoctlOut.bytes;
  reply.setU32(IoctlOut.bytes, value);
  return IoctlOut.bytes + 4;
}
