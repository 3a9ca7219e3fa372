import { EINVAL, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM } from '../../../kern/errno.ts';
import { Directory } from '../../../vfs/directory.ts';
import { type Node, S_IFIFO, S_IFMT, S_IFREG, SymbolicLink } from '../../../vfs/node.ts';
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../protocol/constants.ts';
import { EntryOut, LinkIn, MkdirIn, MknodIn, Rename2In, RenameIn } from '../protocol/layouts.ts';
import type { Request } from '../protocol/request.ts';
import type { Session } from '../session.ts';

/** Longest path, so longest target of a symbolic link: PATH_MAX without the NUL. */
const TARGET_MAX_BYTES = 4095;

/** The directory that a request names, or a negative errno. */
function directoryOf(session: Session, nodeid: number): Directory | number {
  const entry = session.nodes.get(nodeid);
  if (entry === undefined) return -ENOENT;
  return entry.node instanceof Directory ? entry.node : -ENOTDIR;
}

function answerEntry(session: Session, made: Node | number, type?: number): number {
  if (typeof made === 'number') return made;
  const shown = type ?? made.type;
  return session.reply.entryOut(session.nodes.show(made, shown), made, shown);
}

/** The kernel did not want an entry_out: the lookup in it will not be given back. */
export function takeBackEntry(session: Session): void {
  session.nodes.forget(session.reply.u64(EntryOut.nodeid), 1);
}

export function lookup(session: Session, request: Request): number {
  const directory = directoryOf(session, request.nodeid);
  const name = request.name(0);
  if (typeof directory === 'number') return directory;
  return name === null ? -EINVAL : answerEntry(session, directory.lookup(name));
}

/** mkfifo and mknod. A FIFO is answered with the type that was asked for; the next lookup shows what it is (T1). */
export function mknod(session: Session, request: Request): number {
  const directory = directoryOf(session, request.nodeid);
  const mode = request.u32(MknodIn.mode);
  const name = request.name(MknodIn.bytes);
  if (typeof directory === 'number') return directory;
  if (name === null) return -EINVAL;
  const type = mode & S_IFMT;
  if (type !== S_IFIFO && type !== S_IFREG) return -EPERM;
  return answerEntry(session, directory.makeFile(name, mode, request.credentials), type);
}

export function mkdir(session: Session, request: Request): number {
  const directory = directoryOf(session, request.nodeid);
  const name = request.name(MkdirIn.bytes);
  if (typeof directory === 'number') return directory;
  if (name === null) return -EINVAL;
  return answerEntry(session, directory.makeDirectory(name, request.u32(MkdirIn.mode), request.credentials));
}

export function symlink(session: Session, request: Request): number {
  const directory = directoryOf(session, request.nodeid);
  const name = request.name(0);
  const target = name === null ? null : request.name(name.length + 1);
  if (typeof directory === 'number') return directory;
  if (name === null || target === null) return -EINVAL;
  if (target.length > TARGET_MAX_BYTES) return -ENAMETOOLONG;
  return answerEntry(session, directory.makeSymbolicLink(name, target, request.credentials));
}

export function readlink(session: Session, request: Request): number {
  const node = session.nodes.get(request.nodeid)?.node;
  return node instanceof SymbolicLink ? session.reply.string(node.target) : -EINVAL;
}

export function link(session: Session, request: Request): number {
  const directory = directoryOf(session, request.nodeid);
  const node = session.nodes.get(request.u64(LinkIn.oldnodeid))?.node;
  const name = request.name(LinkIn.bytes);
  if (typeof directory === 'number') return directory;
  if (node === undefined) return -ENOENT;
  if (name === null) return -EINVAL;
  const error = session.fileSystem.link(node, directory, name, request.credentials);
  return error < 0 ? error : answerEntry(session, node);
}

export function unlink(session: Session, request: Request): number {
  const directory = directoryOf(session, request.nodeid);
  const name = request.name(0);
  if (typeof directory === 'number') return directory;
  return name === null ? -EINVAL : directory.unlink(name, request.credentials);
}

export function rmdir(session: Session, request: Request): number {
  const directory = directoryOf(session, request.nodeid);
  const name = request.name(0);
  if (typeof directory === 'number') return directory;
  return name === null ? -EINVAL : directory.rmdir(name);
}

export function rename(session: Session, request: Request): number {
  return renameAt(session, request, RenameIn.bytes, 0);
}

export function rename2(session: Session, request: Request): number {
  return renameAt(session, request, Rename2In.bytes, request.u32(Rename2In.flags));
}

function renameAt(session: Session, request: Request, namesOffset: number, flags: number): number {
  const from = directoryOf(session, request.nodeid);
  const to = directoryOf(session, request.u64(RenameIn.newdir));
  const oldName = request.name(namesOffset);
  const newName = oldName === null ? null : request.name(namesOffset + oldName.length + 1);
  if (typeof from === 'number') return from;
  if (typeof to === 'number') return to;
  if (oldName === null || newName === null) return -EINVAL;
  if (flags === RENAME_EXCHANGE) return session.fileSystem.exchange(from, oldName, to, newName);
  if ((flags & ~RENAME_NOREPLACE) !== 0) return -EINVAL;
  const noReplace = (flags & RENAME_NOREPLACE) !== 0;
  return session.fileSystem.rename(from, oldName, to, newName, { noReplace });
}
