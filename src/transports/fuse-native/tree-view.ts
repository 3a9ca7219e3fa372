import { EILSEQ, EINVAL, ENOENT, ENOTDIR } from '../../kern/errno.ts';
import { Directory, type DirectoryEntry } from '../../vfs/directory.ts';
import type { FileSystem } from '../../tree/file-system.ts';
import { type Name, type Node, SymbolicLink } from '../../vfs/node.ts';
import { keyName, SegmentNode } from '../../tree/segments/segment-node.ts';

/** What the binding gives for bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';

/** The name that libfuse gives a file which is removed while it is open. */
export const HIDDEN_NAME = /^\.fuse_hidden[0-9a-f]{16}$/;

const SHM = 'shm';
const CONTROL = 'ctl';
/** Where the outer mount has the control file, which must not go through the page cache as all of the inner mount does. */
const HIDDEN_CONTROL = '.shm-ctl';

/** A name or link as the tree keeps it, one character a byte; null for one whose bytes are lost. */
export function bytesOfName(text: string): Name | null {
  if (text.includes(REPLACEMENT)) return null;
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The other way round. */
export function textOfName(name: Name): string {
  return Buffer.from(name, 'latin1').toString('utf8');
}

/** A place for a name. */
export interface Place {
  readonly directory: Directory;
  readonly name: Name;
}

/** The nodes that the paths of one mount lead to. */
export class TreeView {
  readonly #root: Directory;
  /** Files that were removed and are open, by the name that libfuse gave them to have one. */
  readonly #hidden = new Map<string, Node>();

  constructor(root: Directory) {
    this.#root = root;
  }

  /** The node at `path`, without following links: the host's kernel does. Or a negative errno. */
  find(path: string): Node | number {
    const hidden = this.#hidden.get(path);
    if (hidden !== undefined) return hidden;
    if (path === '/') return this.#root;
    const place = this.place(path);
    return typeof place === 'number' ? place : this.lookup(place.directory, place.name);
  }

  /** The directory of `path` and its last name; a negative errno when there is no such directory. */
  place(path: string): Place | number {
    const bytes = bytesOfName(path);
    if (bytes === null) return -EILSEQ;
    const names = bytes.split('/').filter((name) => name !== '');
    const name = names.pop();
    if (name === undefined) return -ENOENT;
    let directory = this.#root;
    for (const part of names) {
      const next = this.lookup(directory, part);
      if (typeof next === 'number') return next;
      if (!(next instanceof Directory)) return -ENOTDIR;
      directory = next;
    }
    return { directory, name };
  }

  list(directory: Directory): DirectoryEntry[] {
    return directory.list();
  }

  protected lookup(directory: Directory, name: Name): Node | number {
    // libfuse makes sure that such a name is free, also where it could be none.
    const found = directory.lookup(name);
    return found === -EINVAL && HIDDEN_NAME.test(name) ? -ENOENT : found;
  }

  /** A segment was made under this spelling of its key. */
  named(_node: SegmentNode, _name: Name): void {
    // Only where spellings matter.
  }

  /** A removed file stays reachable under `path` for libfuse, which knows open files by their paths. */
  hide(path: string, node: Node): void {
    this.#hidden.set(path, node);
  }

  /** Forgets a hidden file; false when there is none. */
  unhide(path: string): boolean {
    return this.#hidden.delete(path);
  }
}

/** A link that a view shows in the place of something of the tree, which statfs does not count. */
function shownLink({ context, uid, gid }: Directory, target: string): SymbolicLink {
  const link = new SymbolicLink(context, { mode: 0o777, uid, gid }, target);
  context.inodeRemoved();
  return link;
}

/** The tree without what the mount for segments has. */
export class OuterView extends TreeView {
  readonly #root: Directory;
  readonly #shm: Directory;
  /** What shm/ looks like here: the directory to mount on, or a link to where that mount is. */
  readonly #shown: Node;

  /** `target`: where the mount for segments is when it is not on shm/ itself. */
  constructor(fileSystem: FileSystem, target: string | null) {
    super(fileSystem.root);
    this.#root = fileSystem.root;
    this.#shm = fileSystem.root.entries.get(SHM) as Directory;
    this.#shown = target === null ? this.#shm : shownLink(this.#shm, bytesOfName(target)!);
  }

  protected override lookup(directory: Directory, name: Name): Node | number {
    if (directory === this.#shm) return -ENOENT;
    if (directory === this.#root && name === HIDDEN_CONTROL) return this.#shm.entries.get(CONTROL)!;
    if (directory === this.#root && name === SHM) return this.#shown;
    return super.lookup(directory, name);
  }

  override list(directory: Directory): DirectoryEntry[] {
    const list = super.list(directory);
    if (directory === this.#shm) return list.slice(0, 2);
    const { inode, type } = this.#shown;
    return directory === this.#root
      ? list.map((entry) => (entry.name === SHM ? { ...entry, inode, type } : entry))
      : list;
  }
}

/**
 * Two names of one segment would be two files to libfuse, each with pages of its own. So a segment has one name, the spelling of its key
 * that it was made under; other spellings, and its id, are links to that.
 */
export class SegmentNames extends TreeView {
  readonly #shm: Directory;
  readonly #names = new WeakMap<SegmentNode, Name>();
  /** By target: the links of one segment differ by where they lie. */
  readonly #links = new WeakMap<SegmentNode, Map<string, SymbolicLink>>();

  constructor(fileSystem: FileSystem, root: Directory) {
    super(root);
    this.#shm = fileSystem.root.entries.get(SHM) as Directory;
  }

  protected override lookup(directory: Directory, name: Name): Node | number {
    const node = super.lookup(directory, name);
    if (!(node instanceof SegmentNode) || node.segment.key === 0) return node;
    const own = this.#nameOf(node);
    if (directory !== this.#shm) return this.#linkTo(node, `../${own}`);
    return name === own ? node : this.#linkTo(node, own);
  }

  override named(node: SegmentNode, name: Name): void {
    this.#names.set(node, name);
  }

  override list(directory: Directory): DirectoryEntry[] {
    const list = super.list(directory);
    if (directory !== this.#shm && directory.parent !== this.#shm) return list;
    return list.map((entry) => {
      const node = entry.name === '.' || entry.name === '..' ? null : super.lookup(directory, entry.name);
      if (!(node instanceof SegmentNode) || node.segment.key === 0) return entry;
      if (directory === this.#shm) return { ...entry, name: this.#nameOf(node) };
      const link = this.#linkTo(node, `../${this.#nameOf(node)}`);
      return { ...entry, inode: link.inode, type: link.type };
    });
  }

  #nameOf(node: SegmentNode): Name {
    return this.#names.get(node) ?? keyName(node.segment.key);
  }

  #linkTo(node: SegmentNode, target: string): SymbolicLink {
    let links = this.#links.get(node);
    if (links === undefined) {
      links = new Map();
      this.#links.set(node, links);
    }
    let link = links.get(target);
    if (link === undefined) {
      link = shownLink(this.#shm, target);
      links.set(target, link);
    }
    return link;
  }
}

/** shm/ as a tree of its own, whose control file is a link to where the outer mount has it. */
export class SegmentView extends SegmentNames {
  readonly #shm: Directory;
  readonly #control: SymbolicLink;

  /** `outer`: the root of the outer mount as seen from this one's root. */
  constructor(fileSystem: FileSystem, outer: string) {
    const shm = fileSystem.root.entries.get(SHM) as Directory;
    super(fileSystem, shm);
    this.#shm = shm;
    this.#control = shownLink(shm, bytesOfName(`${outer}/${HIDDEN_CONTROL}`)!);
  }

  protected override lookup(directory: Directory, name: Name): Node | number {
    return directory === this.#shm && name === CONTROL ? this.#control : super.lookup(directory, name);
  }

  override list(directory: Directory): DirectoryEntry[] {
    const { inode, type } = this.#control;
    const list = super.list(directory);
    if (directory !== this.#shm) return list;
    return list.map((entry) => (entry.name === CONTROL ? { ...entry, inode, type } : entry));
  }
}
