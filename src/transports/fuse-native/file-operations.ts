import { endianness } from 'node:os';
import { EBADF, EBUSY, EISDIR, EPIPE } from '../../kern/errno.ts';
import type { Credentials } from '../../kern/credentials.ts';
import type { Operation } from '../../kern/operation.ts';
import { Poller } from '../../kern/poll.ts';
import { MemoryReadUio, WriteUio } from '../../kern/uio.ts';
import { openNode, readFile, writeFile } from '../../vfs/calls.ts';
import { Directory } from '../../vfs/directory.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { Engine } from '../../vfs/metrics.ts';
import { SegmentNode } from '../../tree/segments/segment-node.ts';
import { mayDropPages } from './cached-segments.ts';
import { createAndOpen } from '../common/create.ts';
import { IOCTL_GET_HANDLE, performIoctl } from '../common/ioctl.ts';
import { fileFlags, LINUX_O_TRUNC } from '../common/open-flags.ts';
import { pollLinux } from '../common/poll-bits.ts';
import { NameOperations } from './name-operations.ts';
import { ReadBack } from './read-back.ts';
import type { OpenPolicy, Reply, Server } from './server.ts';
import type { TreeView } from './tree-view.ts';

/** How much of what was seeked past is read at once. */
const SKIP_BYTES = 65536;
const INT_BYTES = 4;
const IS_LITTLE_ENDIAN = endianness() === 'LE';

/** What an open gives: the number that names it from now on, and how the file behind it is used. */
export interface Opened {
  readonly handle: number;
  /** No position: lseek is to be refused. */
  readonly isStream: boolean;
  /** It can be mapped, and so goes through the page cache. */
  readonly isMappable: boolean;
}

/** Reads into `target`, and before that what the caller has seeked past: `before` bytes, which a pipe alone can have. */
function* readBeyond(
  file: OpenFile,
  target: Uint8Array,
  position: number,
  caller: Credentials,
  readBack: ReadBack | null,
  before: number,
): Operation<number> {
  let left = file.node.engine === Engine.Pipe ? before : 0;
  readBack?.skipped(before - left);
  while (left > 0) {
    const unwanted = new Uint8Array(Math.min(left, SKIP_BYTES));
    const count = yield* readFile(file, new MemoryReadUio([unwanted], 0), caller, true);
    if (count <= 0) return count;
    readBack?.skipped(count);
    left -= count;
  }
  return yield* readFile(file, new MemoryReadUio([target], position), caller, false);
}

/** Tells the host's kernel, once, that pollers of a file should look again. */
export interface PollNotifier {
  notify(): void;
  /** It is not wanted any more. */
  close(): void;
}

/** All callbacks of one mount: those about names, and those about open files. */
export class FileOperations extends NameOperations {
  readonly #policy: OpenPolicy;
  readonly #readBacks = new WeakMap<OpenFile, ReadBack>();
  readonly #notifiers = new WeakMap<OpenFile, PollNotifier>();

  constructor(server: Server, view: TreeView, policy: OpenPolicy) {
    super(server, view);
    this.#policy = policy;
  }

  /** `flags`: those of open(2), in Linux's numbers. */
  open(path: string, flags: number, reply: Reply<Opened>): void {
    const node = this.view.find(path);
    if (typeof node === 'number' || node instanceof Directory) {
      reply(typeof node === 'number' ? node : -EISDIR);
      return;
    }
    if ((flags & LINUX_O_TRUNC) !== 0 && this.#policy.isCached && !mayDropPages(node)) {
      reply(-EBUSY);
      return;
    }
    const { openFiles } = this.server.fileSystem;
    const caller = this.server.caller();
    const file = openFiles.add(node, fileFlags(flags), caller);
    if (typeof file === 'number') {
      reply(file);
      return;
    }
    const done = (result: number): void => {
      if (result < 0) {
        openFiles.drop(file);
        reply(result);
      } else {
        reply(0, this.#opened(file));
      }
    };
    this.server.calls.run('open', node, caller, openNode(file), done, { file, argument: flags });
  }

  create(path: string, mode: number, flags: number, reply: Reply<Opened>): void {
    const place = this.view.place(path);
    if (typeof place === 'number') {
      reply(place);
      return;
    }
    const { fileSystem } = this.server;
    const isNew = typeof place.directory.lookup(place.name) === 'number';
    const file = createAndOpen(fileSystem, place.directory, place.name, mode, flags, this.server.caller());
    if (typeof file === 'number') {
      reply(file);
      return;
    }
    if (isNew && file.node instanceof SegmentNode) this.view.named(file.node, place.name);
    reply(0, this.#opened(file));
  }

  #opened(file: OpenFile): Opened {
    const handle = this.server.handles.add(file);
    return { handle, isStream: file.isStream, isMappable: file.node instanceof SegmentNode };
  }

  /** Reads up to `length` bytes into `buffer`. */
  read(handle: number, buffer: Uint8Array, length: number, position: number, reply: Reply): void {
    const file = this.server.handles.get(handle);
    if (file === null) {
      reply(-EBADF);
      return;
    }
    const target = buffer.subarray(0, length);
    const readBack = this.#readBackOf(file);
    const before = readBack?.beginRead(position) ?? 0;
    const givenBack = before > 0 ? 0 : (readBack?.take(target) ?? 0);
    if (givenBack > 0) {
      reply(givenBack);
      return;
    }
    const caller = this.server.caller();
    const reading = readBeyond(file, target, position, caller, readBack, before);
    const done = (result: number): void => {
      if (result > 0) readBack?.gave(target.subarray(0, result));
      reply(result);
    };
    const bytes = { prefix: (count: number) => new Uint8Array(target.subarray(0, count)) };
    this.server.calls.run('read', file.node, caller, reading, done, { file, argument: length, bytes });
  }

  #readBackOf(file: OpenFile): ReadBack | null {
    if (!file.isStream || !this.#policy.isSeekable) return null;
    let readBack = this.#readBacks.get(file);
    if (readBack === undefined) {
      readBack = new ReadBack();
      this.#readBacks.set(file, readBack);
    }
    return readBack;
  }

  /** `buffer` stays as it is until the answer. */
  write(handle: number, buffer: Uint8Array, length: number, position: number, reply: Reply): void {
    const file = this.server.handles.get(handle);
    if (file === null) {
      reply(-EBADF);
      return;
    }
    const readBack = this.#readBackOf(file);
    readBack?.begin(position);
    const uio = new WriteUio([buffer.subarray(0, length)], position);
    const caller = this.server.caller();
    const done = (result: number): void => {
      if (result > 0) readBack?.wrote(result);
      else if (result === -EPIPE) this.server.fileSystem.kernel.host.postSigpipe(caller.pid);
      reply(result);
    };
    const details = { file, argument: length, source: uio, bytes: uio };
    this.server.calls.run('write', file.node, caller, writeFile(file, uio, caller, false), done, details);
  }

  release(handle: number, reply: Reply): void {
    const { handles, calls, fileSystem } = this.server;
    const file = handles.get(handle);
    if (file === null) {
      reply(-EBADF);
      return;
    }
    handles.remove(handle);
    this.#expectNotice(file, null);
    calls.run('release', file.node, file.credentials, fileSystem.openFiles.close(file), reply, { file });
  }

  /** `asked` and the answer are Linux's bits; the notifier is used once when they may have changed, and is null for one look. */
  poll(handle: number, asked: number, notifier: PollNotifier | null, reply: Reply): void {
    const file = this.server.handles.get(handle);
    if (file === null) {
      notifier?.close();
      reply(-EBADF);
      return;
    }
    if (notifier !== null) this.#expectNotice(file, notifier);
    reply(pollLinux(file, asked, notifier === null ? null : file.poller, this.server.caller()));
  }

  /** The host's kernel has one notification for each open file: the last that it gave counts. */
  #expectNotice(file: OpenFile, notifier: PollNotifier | null): void {
    file.poller?.cancel();
    this.#notifiers.get(file)?.close();
    if (notifier === null) return;
    this.#notifiers.set(file, notifier);
    file.poller = new Poller(() => {
      notifier.notify();
    });
  }

  /** `bytes`: what is behind the argument, which is changed in place. */
  ioctl(handle: number, command: number, bytes: Uint8Array, reply: Reply): void {
    const file = this.server.handles.get(handle);
    if (file === null) {
      reply(-EBADF);
      return;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (command === IOCTL_GET_HANDLE) {
      view.setBigUint64(0, BigInt(file.handle), IS_LITTLE_ENDIAN);
      reply(0);
      return;
    }
    const argument = bytes.length >= INT_BYTES ? view.getInt32(0, IS_LITTLE_ENDIAN) : 0;
    const { result, value } = performIoctl(file, command, argument, this.server.caller());
    if (value !== null) view.setInt32(0, value, IS_LITTLE_ENDIAN);
    reply(result);
  }
}
