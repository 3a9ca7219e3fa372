import { EACCES, EBADF, EPERM } from '../../../kern/errno.ts';
import { readlinkSync } from 'node:fs';
import {
  type ForeignAnswer,
  type ForeignDescription,
  type ForeignRequest,
  type ForeignState,
  Side,
} from '../../../kern/foreign.ts';
import { anyDescriptorInfo, type DescriptorInfo } from '../descriptors/descriptors.ts';
import * as libc from '../libc.ts';
import * as calls from './calls.ts';
import { SlotNumbers } from './descriptor-table.ts';
import { kindOfEntry, noDescriptor, type Refusal, unsupported } from './kinds.ts';
import { foreignType } from './local-mounts.ts';
import { type ForeignNode, Nodes } from './nodes.ts';
import { walk } from './path-walk.ts';
import { Streams } from './streams.ts';

type Question<Kind extends ForeignRequest['kind']> = Extract<ForeignRequest, { kind: Kind }>;

/** Answers requests about files outside of the mount, and tells what happens to those that it was asked about. For a thread of its own. */
export class ForeignWatcher {
  readonly #answer: (answer: ForeignAnswer) => void;
  readonly #deviceMinor: number;
  readonly #streams: Streams;
  readonly #nodes: Nodes;

  /** `firstNumber`: files get numbers from it on. `deviceMinor`: of the mount. */
  constructor(firstNumber: number, deviceMinor: number, answer: (answer: ForeignAnswer) => void) {
    let lastNumber = firstNumber;
    const newNumber = (): number => ++lastNumber;
    this.#answer = answer;
    this.#deviceMinor = deviceMinor;
    this.#streams = new Streams(new SlotNumbers(), `0:${deviceMinor}`, newNumber, ({ file }, state, news) => {
      answer({ kind: 'state', file, state, notes: 0, news });
    });
    this.#nodes = new Nodes(newNumber, ({ file }, state, notes, news) => {
      answer({ kind: 'state', file, state, notes, news });
    });
  }

  /** Descriptors that are readable when there is something to `takeEvents`. */
  get descriptors(): readonly number[] {
    return [this.#streams.descriptor, this.#nodes.descriptor];
  }

  takeEvents(): void {
    this.#streams.takeEvents();
    this.#nodes.takeEvents();
  }

  serve(request: ForeignRequest): void {
    switch (request.kind) {
      case 'descriptor':
        this.#tellFound(request.id, this.#descriptor(request));
        break;
      case 'path':
        this.#path(request);
        break;
      case 'look':
        this.takeEvents();
        for (const file of request.files) this.#look(file);
        this.#answer({ kind: 'looked', id: request.id });
        break;
      default:
        this.#streams.forget(request.file, request.count);
        this.#nodes.forget(request.file, request.count);
    }
  }

  #tellFound(id: number, found: ForeignDescription | Refusal): void {
    if ('reason' in found) this.#answer({ kind: 'refused', id, ...found });
    else this.#answer({ kind: 'found', id, description: found });
  }

  #look(file: number): void {
    const stream = this.#streams.get(file);
    if (stream !== undefined) this.#streams.look(stream, 0);
    const node = this.#nodes.get(file);
    if (node !== undefined) this.#nodes.look(node, 0, 0);
  }

  #descriptor(request: Question<'descriptor'>): ForeignDescription | Refusal {
    const { pid, otherPid, descriptor, side } = request;
    const path = `/proc/${pid}/fd/${descriptor}`;
    const status = calls.statusOf(path);
    if (status === null) return openRefusal(pid);
    const info = anyDescriptorInfo(pid, descriptor);
    if (info === null) return openRefusal(pid);
    const isNotes = (side & Side.Notes) !== 0;
    if (info.isPathOnly && !isNotes) {
      return noDescriptor('it was opened with O_PATH, which has vnode events only');
    }
    const kind = kindOfEntry(status, status.type === 0 ? targetOf(path) : '');
    if (typeof kind !== 'string') return kind;
    if (kind === 'node') return this.#descriptorNode(request, info);
    if (isNotes) return unsupported('only files, directories and symbolic links have vnode events');
    const found = this.#streams.find(pid, otherPid, descriptor, kind, side);
    if (!('stream' in found)) return found;
    const { stream, state } = found;
    const holderPid = stream.process.pid;
    const { isReadable, isWritable } = info;
    return { file: stream.file, holderPid, isNode: false, isReadable, isWritable, state };
  }

  /**
   * What lies behind a descriptor is watched for those who have it open. One of O_PATH is had without any right to the file, and the number may
   * lead elsewhere since `info` was read: then the caller must be allowed to read it, as inotify asks of its callers.
   */
  #descriptorNode(request: Question<'descriptor'>, info: DescriptorInfo): ForeignDescription | Refusal {
    const { pid, otherPid, descriptor, user } = request;
    const seen = calls.openPath(`/proc/${pid}/fd/${descriptor}`);
    if (seen < 0) return openRefusal(pid);
    try {
      const status = calls.statusOfDescriptor(seen);
      if (status === null) return openRefusal(pid);
      const type = foreignType(status);
      if (type !== null) {
        const what = info.isPathOnly ? 'it was opened with O_PATH, in' : 'a file of';
        return noDescriptor(`${what} a file system that is not local (${type})`);
      }
      const isOpen =
        !info.isPathOnly && info.mountId === status.mountId && info.inode === Number(status.inode);
      if (!isOpen && calls.asUser(user, () => calls.mayAccess(seen, calls.R_OK)) !== true) {
        return { errno: -EACCES, reason: 'you may not read what this descriptor stands for' };
      }
      const other =
        otherPid > 0 && otherPid !== pid ? calls.statusOf(`/proc/${otherPid}/fd/${descriptor}`) : null;
      const isOthers = other?.inode === status.inode && other.device === status.device;
      const place = { pid: isOthers ? otherPid : pid, descriptor, kept: -1 };
      const found = this.#nodes.find(place, seen, status);
      if (!('node' in found)) return found;
      return describe(found.node, place.pid, found.state, info.isReadable, info.isWritable);
    } finally {
      libc.close(seen);
    }
  }

  #path({ id, pid, path, user, side }: Question<'path'>): void {
    const root = calls.openPath(`/proc/${pid}/root`);
    if (root < 0) {
      this.#tellFound(id, {
        errno: -EACCES,
        reason: `the server may not look at the files of process ${pid}: run it as root`,
      });
      return;
    }
    const end = calls.asUser(user, () => {
      const reached = walk(root, path, this.#deviceMinor);
      if (!('descriptor' in reached)) return reached;
      return this.#pathNode(reached.descriptor, reached.status, side);
    });
    libc.close(root);
    if (end === null)
      this.#tellFound(id, { errno: -EPERM, reason: 'the server may not take your rights: run it as root' });
    else if ('insidePath' in end) this.#answer({ kind: 'inside', id, path: end.insidePath });
    else this.#tellFound(id, end);
  }

  /** Watches what a path has led to, with the rights of the caller. The descriptor is taken. */
  #pathNode(kept: number, status: calls.FileStatus, side: number): ForeignDescription | Refusal {
    let refusal: Refusal | null = null;
    if (status.type !== calls.S_IFREG && status.type !== calls.S_IFDIR) {
      refusal = unsupported(
        'a path of a file or a directory is watched; of anything else, open it and watch the descriptor',
      );
    } else if (side === Side.Except) refusal = unsupported('files have no exceptional conditions');
    else if (!calls.mayAccess(kept, side === Side.Write ? calls.W_OK : calls.R_OK)) {
      refusal = { errno: -EACCES, reason: 'you may not open it' };
    }
    const found = refusal ?? this.#nodes.find({ pid: 0, descriptor: -1, kept }, kept, status);
    if ('node' in found) return describe(found.node, 0, found.state, true, true);
    libc.close(kept);
    return found;
  }
}

function describe(
  { file }: ForeignNode,
  holderPid: number,
  state: ForeignState,
  isReadable: boolean,
  isWritable: boolean,
): ForeignDescription {
  return { file, holderPid, isNode: true, isReadable, isWritable, state };
}

function openRefusal(pid: number): Refusal {
  const failure = libc.failure();
  if (failure === -EACCES || failure === -EPERM) {
    return noDescriptor(
      `the server may not look at process ${pid}: run it as root, or as the user of the program`,
    );
  }
  return { errno: -EBADF, reason: 'it is not open' };
}

function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
