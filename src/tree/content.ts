import { assert } from '../kern/assert.ts';
import { EACCES, ENOENT, ENOMEM, EOPNOTSUPP, EPERM } from '../kern/errno.ts';
import type { FileOps } from '../kern/file.ts';
import type { Knote } from '../kern/klist.ts';
import type { Operation } from '../kern/operation.ts';
import type { ReadUio } from '../kern/uio.ts';
import { Directory } from '../vfs/directory.ts';
import { type Name, Node, type NodeContext, type Ownership, S_IFREG } from '../vfs/node.ts';
import { noFileOps, type OpenFile } from '../vfs/open-file.ts';
import { PairEndNode } from './pairs.ts';
import { PipeNode } from './pipes.ts';
import { SegmentNode } from './segments/segment-node.ts';

/** Bytes are the owner's to look at; the host's kernel lets root pass. */
const OWNER_READS = 0o400;
const NO_WRITE = 0o555;
const noBytes = new Uint8Array(0);

/**
 * A file with the bytes of another node: those queued in a pipe, or those of a segment. Reading it takes nothing, opening it
 * counts as no opener and no attach, and neither ever waits. It belongs to whom the other belongs to, whatever mode that has.
 */
abstract class ContentFile<Source extends Node> extends Node {
  override readonly type = S_IFREG;
  protected readonly source: Source;

  constructor(source: Source) {
    super(source.context, { mode: OWNER_READS, uid: source.uid, gid: source.gid }, source.times);
    this.source = source;
    // statfs counts files: this is another view of one.
    source.context.inodeRemoved();
  }

  /** Bytes from `uio.offset` on; 0 at the end. */
  abstract read(file: OpenFile, uio: ReadUio): number;

  override get path(): string {
    return `info/content/${this.source.path}`;
  }

  override get sizeBytes(): number {
    return this.source.sizeBytes;
  }

  override refresh(): void {
    this.source.refresh();
    this.uid = this.source.uid;
    this.gid = this.source.gid;
  }

  override *open(file: OpenFile): Operation<number> {
    return this.openAtOnce(file);
  }

  override openAtOnce(file: OpenFile): number {
    this.refresh();
    const { uid } = file.credentials;
    if (file.writable || (uid !== 0 && uid !== this.uid)) return -EACCES;
    file.ops = contentOps;
    return 0;
  }

  /** Nobody tells a view what happens to its object: watch that. */
  override kqfilter(_knote: Knote): number {
    return -EOPNOTSUPP;
  }

  override setAttributes(): number {
    return -EPERM;
  }
}

const contentOps: FileOps = {
  ...noFileOps,
  *read(file, uio) {
    return ((file as OpenFile).node as ContentFile<Node>).read(file as OpenFile, uio);
  },
};

/** The queued bytes of a pipe, or those that a reader of this end of a pair would get. */
class PipeContent extends ContentFile<PipeNode | PairEndNode> {
  /** A read from the start takes a new look; going on reads the bytes as they were then, whatever has been read since. */
  override read(file: OpenFile, uio: ReadUio): number {
    if (uio.offset === 0 || file.data === null) {
      const { source } = this;
      const end = source instanceof PipeNode ? source.fifo.end : source.end;
      if (!file.hold(end?.queuedBytes ?? 0)) return -ENOMEM;
      file.data = end?.peek() ?? noBytes;
    }
    const bytes = file.data as Uint8Array;
    const length = Math.min(uio.residual, Math.max(0, bytes.length - uio.offset));
    const fault = uio.moveOut(bytes, uio.offset, length);
    return fault === 0 ? length : fault;
  }
}

/** A segment's bytes as they are at each read. */
class SegmentContent extends ContentFile<SegmentNode> {
  override read(_file: OpenFile, uio: ReadUio): number {
    // An open file may outlive the segment.
    return this.source.storage === null ? 0 : this.source.read(uio);
  }
}

/** Makes the view of a node when it is first looked at; views of what nobody looks at do not exist. */
class ContentViews {
  readonly #views = new WeakMap<Node, Node>();

  /** Null for what has no bytes to show: links, which would lead out of the view, and control files. */
  of(source: Node): Node | null {
    let view = this.#views.get(source) ?? null;
    if (view !== null) return view;
    if (source instanceof Directory) view = new ContentDirectory(this, source);
    else if (source instanceof PipeNode || source instanceof PairEndNode) view = new PipeContent(source);
    else if (source instanceof SegmentNode) view = new SegmentContent(source);
    if (view !== null) this.#views.set(source, view);
    return view;
  }
}

/** A directory of views: its names are those of another directory at this moment. */
export class ContentDirectory extends Directory {
  override readonly isVolatile = true;
  readonly #views: ContentViews;
  readonly #source: Directory;

  constructor(views: ContentViews, source: Directory) {
    const { context, permissions, uid, gid } = source;
    super(context, { mode: permissions & NO_WRITE, uid, gid });
    this.#views = views;
    this.#source = source;
    context.inodeRemoved();
  }

  override get path(): string {
    return `info/content/${this.#source.path}`;
  }

  /** A directory at the top of the view has its name there, another is where its source is. */
  override get parent(): Directory {
    return this.names[0]?.directory ?? (this.#views.of(this.#source.parent) as Directory);
  }

  override refresh(): void {
    this.permissions = this.#source.permissions & NO_WRITE;
    this.uid = this.#source.uid;
    this.gid = this.#source.gid;
    this.linkCount = this.#source.linkCount;
    Object.assign(this.times, this.#source.times);
  }

  /** What it shows is the other directory's: it has no entries of its own. */
  override checkInvariants(): void {
    assert(this.entries.size === 0, 'a view has the names of its source');
  }

  override lookup(name: Name): Node | number {
    const found = this.#source.lookup(name);
    if (typeof found === 'number') return found;
    return this.#views.of(found) ?? -ENOENT;
  }

  override *namedNodes(): Iterable<readonly [Name, Node]> {
    for (const [name, source] of this.#source.namedNodes()) {
      const view = this.#views.of(source);
      if (view !== null) yield [name, view];
    }
  }

  override setAttributes(): number {
    return -EPERM;
  }
}

/** info/content/: below it the trees of `sources`, by name, with the bytes that their pipes and segments hold. */
export function contentDirectory(
  context: NodeContext,
  ownership: Ownership,
  sources: Readonly<Record<Name, Directory>>,
): Directory {
  const views = new ContentViews();
  const root = new Directory(context, ownership);
  for (const [name, source] of Object.entries(sources)) root.add(name, views.of(source)!);
  return root;
}
