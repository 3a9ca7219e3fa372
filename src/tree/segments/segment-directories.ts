import type { Credentials } from '../../kern/credentials.ts';
import { EEXIST, EINVAL, ENOENT, EPERM } from '../../kern/errno.ts';
import { noteWrite } from '../../vfs/vnode-notes.ts';
import { Creation } from '../../shm/creation.ts';
import { Directory } from '../../vfs/directory.ts';
import { type Name, type Node, type NodeContext, type Ownership, S_ISVTX } from '../../vfs/node.ts';
import { SegmentControl } from './segment-control.ts';
import type { SegmentFiles } from './segment-files.ts';
import { keyName, type SegmentNode } from './segment-node.ts';

const LARGEST_KEY = 2 ** 32 - 1;

/** A name of shm/ as a key: hexadecimal with 0x, or decimal, from 1 to 2^32 - 1; null for anything else. */
export function parseKey(name: Name): number | null {
  if (!/^(0[xX][0-9a-fA-F]+|[0-9]+)$/.test(name)) return null;
  const key = Number(name);
  return key >= 1 && key <= LARGEST_KEY ? key : null;
}

/** What shm/ and shm/id/ have in common: their names are those of the engine's table. */
abstract class SegmentDirectory extends Directory {
  // Segments come and go by the control file too, which the host's kernel does not see.
  override readonly isVolatile = true;
  protected readonly files: SegmentFiles;

  constructor(context: NodeContext, files: SegmentFiles, ownership: Ownership) {
    super(context, ownership);
    this.files = files;
  }

  /** The segment that a name stands for, or a negative errno. */
  protected abstract find(name: Name): SegmentNode | number;
  /** The segments and their names. */
  protected abstract segments(): Iterable<readonly [Name, SegmentNode]>;

  override lookup(name: Name): Node | number {
    return this.entries.get(name) ?? this.find(name);
  }

  override *namedNodes(): Iterable<readonly [Name, Node]> {
    yield* this.entries;
    yield* this.segments();
  }

  /** IPC_RMID. */
  override unlink(name: Name, caller: Credentials): number {
    const node = this.find(name);
    if (typeof node === 'number') return this.entries.has(name) ? -EPERM : node;
    // The host has checked what the name led to when it looked, and by the control file another may have the key since.
    if ((this.permissions & S_ISVTX) !== 0 && ![0, this.uid, node.uid].includes(caller.uid)) return -EPERM;
    return node.unlink();
  }

  /** A segment has come or gone, by whatever way (K114). */
  protected namesChanged(): void {
    this.touch();
    noteWrite(this, false);
  }
}

/** shm/id: segments by id, private ones too. */
class SegmentIdDirectory extends SegmentDirectory {
  constructor(context: NodeContext, files: SegmentFiles, ownership: Ownership) {
    super(context, files, ownership);
    files.shm.idsChanged = () => {
      this.namesChanged();
    };
  }

  protected override find(name: Name): SegmentNode | number {
    if (!/^(0|[1-9][0-9]{0,9})$/.test(name)) return -ENOENT;
    const segment = this.files.shm.table.find(Number(name));
    return segment === null ? -ENOENT : this.files.nodeFor(segment);
  }

  protected override *segments(): Iterable<readonly [Name, SegmentNode]> {
    for (const segment of this.files.shm.table.segments()) {
      if (segment.isVisible) yield [String(segment.id), this.files.nodeFor(segment)];
    }
  }
}

/** shm/: segments by key, the control file, and id/. */
export class SegmentKeyDirectory extends SegmentDirectory {
  constructor(context: NodeContext, files: SegmentFiles, ownership: Ownership) {
    super(context, files, ownership);
    this.add('ctl', new SegmentControl(context, files));
    this.add('id', new SegmentIdDirectory(context, files, ownership));
    files.shm.keysChanged = () => {
      this.namesChanged();
    };
  }

  protected override find(name: Name): SegmentNode | number {
    const key = parseKey(name);
    const segment = key === null ? null : this.files.shm.table.findKey(key);
    return segment === null ? -ENOENT : this.files.nodeFor(segment);
  }

  protected override *segments(): Iterable<readonly [Name, SegmentNode]> {
    for (const segment of this.files.shm.table.segments()) {
      if (segment.key !== 0) yield [keyName(segment.key), this.files.nodeFor(segment)];
    }
  }

  /** shmget with IPC_CREAT, by an open that creates: the size comes later. */
  override createFile(name: Name, mode: number, credentials: Credentials): SegmentNode | number {
    const key = parseKey(name);
    if (key === null) return -EINVAL;
    const { shm, memory } = this.files;
    if (shm.table.findKey(key) !== null) return -EEXIST;
    const staged = memory.stage();
    if (typeof staged === 'number') return staged;
    const pid = this.context.kernel.host.processOf(credentials.pid);
    const creation = Creation.begin(shm, { ...credentials, pid }, { key, mode });
    if (typeof creation === 'number') {
      staged.free();
      return creation;
    }
    const node = this.files.nodeFor(creation.segment);
    node.beginCreation(creation, staged);
    return node;
  }

  override undoCreation(name: Name): void {
    const node = this.find(name);
    if (typeof node !== 'number') node.abandon();
  }
}
