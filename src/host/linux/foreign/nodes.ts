import { ENOMEM, ENOSPC } from '../../../kern/errno.ts';
import { type ForeignState, Ready, Side } from '../../../kern/foreign.ts';
import {
  NOTE_ATTRIB,
  NOTE_DELETE,
  NOTE_EXTEND,
  NOTE_LINK,
  NOTE_RENAME,
  NOTE_REVOKE,
  NOTE_WRITE,
} from '../../../kern/klist.ts';
import { readStart } from '../bounded-read.ts';
import * as libc from '../libc.ts';
import * as calls from './calls.ts';
import type { Refusal } from './kinds.ts';

const IN_MODIFY = 0x2;
const IN_ATTRIB = 0x4;
const IN_MOVED = 0xc0;
const IN_CREATE_OR_DELETE = 0x300;
const IN_DELETE_SELF = 0x400;
const IN_MOVE_SELF = 0x800;
const IN_UNMOUNT = 0x2000;
const IN_Q_OVERFLOW = 0x4000;
const IN_ISDIR = 0x4000_0000;
const WANTED = IN_MODIFY | IN_ATTRIB | IN_MOVED | IN_CREATE_OR_DELETE | IN_DELETE_SELF | IN_MOVE_SELF;
const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;

/** struct inotify_event: watch, mask, cookie, length of a name that follows. */
const EVENT_BYTES = 16;
const BUFFER_BYTES = 64 * 1024;
const INFO_BYTES = 64;

/** Where this thread finds its descriptors. */
const OWN_DESCRIPTORS = '/proc/thread-self/fd';

/**
 * Where a node is found: a descriptor of a process, or one of O_PATH that this thread has. It is kept for files. Linux tells of the removal of
 * a directory only when nobody has it open, so for those it is closed, and -1.
 */
export interface NodePlace {
  /** 0 for a path. */
  readonly pid: number;
  readonly descriptor: number;
  kept: number;
}

/** A file, a directory or a symbolic link of a local file system. */
export class ForeignNode {
  readonly file: number;
  /** What it is found by. */
  readonly key: string;
  readonly place: NodePlace;
  readonly watch: number;
  status: calls.FileStatus;
  descriptionCount = 0;

  constructor(file: number, key: string, place: NodePlace, watch: number, status: calls.FileStatus) {
    this.file = file;
    this.key = key;
    this.place = place;
    this.watch = watch;
    this.status = status;
  }
}

/** What has happened to a node; null state: its descriptor was closed. */
export type TellNode = (node: ForeignNode, state: ForeignState | null, notes: number, news: number) => void;

function isSame(one: calls.FileStatus, other: calls.FileStatus): boolean {
  return one.inode === other.inode && one.device === other.device;
}

/** What a node is now; null when its place leads elsewhere. */
function statusOfNode({ place, status: before }: ForeignNode): calls.FileStatus | null {
  if (place.pid !== 0) {
    const status = calls.statusOf(`/proc/${place.pid}/fd/${place.descriptor}`);
    return status !== null && isSame(before, status) ? status : null;
  }
  return place.kept < 0 ? before : calls.statusOfDescriptor(place.kept);
}

/** The offset of a descriptor. lseek would wait for a read that is under way. */
function offsetAt(place: NodePlace): number {
  if (place.pid === 0) return 0;
  const info = readStart(`/proc/${place.pid}/fdinfo/${place.descriptor}`, INFO_BYTES) ?? '';
  return Number(/^pos:\s*(\d+)/m.exec(info)?.[1] ?? 0);
}

function stateAt(place: NodePlace, { type, sizeBytes }: calls.FileStatus): ForeignState {
  const readableBytes = type === calls.S_IFREG ? sizeBytes - offsetAt(place) : 0;
  return { ready: Ready.Read | Ready.Write, readableBytes, writableBytes: 0, error: 0 };
}

/** Files and directories that are watched through inotify, which all of them share. */
export class Nodes {
  readonly descriptor: number;
  readonly #newNumber: () => number;
  readonly #tell: TellNode;
  readonly #nodes = new Map<number, ForeignNode>();
  readonly #byPlace = new Map<string, ForeignNode>();
  readonly #byWatch = new Map<number, Set<ForeignNode>>();
  readonly #buffer = new DataView(new ArrayBuffer(BUFFER_BYTES));

  constructor(newNumber: () => number, tell: TellNode) {
    this.descriptor = libc.inotifyInit(IN_NONBLOCK | IN_CLOEXEC);
    this.#newNumber = newNumber;
    this.#tell = tell;
  }

  get(file: number): ForeignNode | undefined {
    return this.#nodes.get(file);
  }

  /**
   * The node at a place, watched from now on. `seen`: an O_PATH descriptor of what was seen there, which has been found to be local, and
   * its status. The place itself may lead elsewhere by now.
   */
  find(
    place: NodePlace,
    seen: number,
    status: calls.FileStatus,
  ): { node: ForeignNode; state: ForeignState } | Refusal {
    const key = place.pid === 0 ? `${status.device}:${status.inode}` : `${place.pid}:${place.descriptor}`;
    let node = this.#byPlace.get(key);
    if (node !== undefined && !isSame(node.status, status)) {
      this.#remove(node);
      this.#tell(node, null, 0, 0);
      node = undefined;
    }
    if (node === undefined) {
      const watch = libc.inotifyAddWatch(this.descriptor, `${OWN_DESCRIPTORS}/${seen}`, WANTED);
      if (watch < 0) return watchRefusal();
      node = new ForeignNode(this.#newNumber(), key, place, watch, status);
      this.#nodes.set(node.file, node);
      this.#byPlace.set(key, node);
      const sharing = this.#byWatch.get(watch);
      if (sharing === undefined) this.#byWatch.set(watch, new Set([node]));
      else sharing.add(node);
      if (place.pid === 0 && status.type === calls.S_IFDIR) closeKept(place);
    } else if (place.pid === 0) closeKept(place);
    node.descriptionCount++;
    return { node, state: stateAt(node.place, status) };
  }

  /** What a node shows now, told with `notes`. Null, and it is forgotten, when its descriptor was closed. */
  look(node: ForeignNode, notes: number, news: number): ForeignState | null {
    const status = statusOfNode(node);
    if (status === null) {
      this.#remove(node);
      this.#tell(node, null, 0, 0);
      return null;
    }
    const state = stateAt(node.place, status);
    node.status = status;
    this.#tell(node, state, notes, news);
    return state;
  }

  takeEvents(): void {
    for (;;) {
      const length = libc.read(this.descriptor, this.#buffer, BUFFER_BYTES);
      for (let at = 0; at < length;) {
        const watch = this.#buffer.getInt32(at, true);
        const mask = this.#buffer.getUint32(at + 4, true);
        at += EVENT_BYTES + this.#buffer.getUint32(at + 12, true);
        // Too much has happened: whatever is watched may have changed.
        const nodes = (mask & IN_Q_OVERFLOW) !== 0 ? this.#nodes.values() : (this.#byWatch.get(watch) ?? []);
        for (const node of [...nodes]) this.#happened(node, mask);
      }
      if (length < BUFFER_BYTES / 2) return;
    }
  }

  forget(file: number, count: number): void {
    const node = this.#nodes.get(file);
    if (node === undefined) return;
    node.descriptionCount -= count;
    if (node.descriptionCount <= 0) this.#remove(node);
  }

  #happened(node: ForeignNode, mask: number): void {
    const before = node.status;
    const after = statusOfNode(node);
    // Once its descriptor is closed nobody waits for the note.
    if (after === null) {
      this.look(node, 0, 0);
      return;
    }
    const isDirectory = after.type === calls.S_IFDIR;
    let notes = 0;
    if ((mask & IN_Q_OVERFLOW) !== 0) notes |= NOTE_WRITE | NOTE_ATTRIB;
    if ((mask & IN_MODIFY) !== 0) notes |= NOTE_WRITE;
    if ((mask & IN_MODIFY) !== 0 && after.sizeBytes > before.sizeBytes) notes |= NOTE_EXTEND;
    if (isDirectory && (mask & (IN_CREATE_OR_DELETE | IN_MOVED)) !== 0) {
      notes |= NOTE_WRITE;
      if ((mask & IN_ISDIR) !== 0 && (mask & IN_CREATE_OR_DELETE) !== 0) notes |= NOTE_LINK;
    }
    // Linux tells of names that come and go as of any change of the inode.
    if ((mask & IN_ATTRIB) !== 0) {
      if (after.links < before.links) notes |= NOTE_DELETE;
      else if (after.links > before.links) notes |= NOTE_LINK;
      else notes |= NOTE_ATTRIB;
    }
    if ((mask & IN_DELETE_SELF) !== 0) notes |= NOTE_DELETE;
    if ((mask & IN_MOVE_SELF) !== 0) notes |= NOTE_RENAME;
    if ((mask & IN_UNMOUNT) !== 0) notes |= NOTE_REVOKE;
    if (notes !== 0) this.look(node, notes, Side.Notes | Side.Read);
  }

  #remove(node: ForeignNode): void {
    if (!this.#nodes.delete(node.file)) return;
    if (this.#byPlace.get(node.key) === node) this.#byPlace.delete(node.key);
    const sharing = this.#byWatch.get(node.watch);
    sharing?.delete(node);
    if (sharing?.size === 0) {
      this.#byWatch.delete(node.watch);
      libc.inotifyRemoveWatch(this.descriptor, node.watch);
    }
    if (node.place.pid === 0) closeKept(node.place);
  }
}

function closeKept(place: { kept: number }): void {
  if (place.kept >= 0) libc.close(place.kept);
  place.kept = -1;
}

function watchRefusal(): Refusal {
  const failure = libc.failure();
  if (failure === -ENOSPC) {
    return { errno: -ENOMEM, reason: 'inotify has no watch left: raise fs.inotify.max_user_watches' };
  }
  return { errno: failure, reason: 'inotify may not watch it' };
}
