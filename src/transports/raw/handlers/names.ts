import { EINVAL, ENOENT, ENOTDIR, EPERM } from '../../../kern/errno.ts';
import { Directory } from '../../../vfs/directory.ts';
import { type Node, S_IFIFO, S_IFMT, S_IFREG, SymbolicLink } from '../../../vfs/node.ts';
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../protocol/constants.ts';
import { EntryOut, LinkIn, MkdirIn, MknodIn, Rename2In, RenameIn } from '../protocol/layouts.ts';
import type { Request } from '../protocol/request.ts';
import type { ServerParts } from '../session/server-parts.ts';

type Parts = Pick<ServerParts, 'fileSystem' | 'nodes' | 'reply'>;

/** The directory that a request names, or a negative errno. */
function directoryOf(parts: Parts, nodeid: number): Directory | number {
  const entry = parts.nodes.get(nodeid);
  if (entry === undefined) return -ENOENT;
  return entry.node instanceof Directory ? entry.node : -ENOTDIR;
}

function answerEntry(parts: Parts, made: Node | number, type?: number): number {
  if (typeof made === 'number') return made;
  const shown = type ?? made.type;
  return parts.reply.entryOut(parts.nodes.show(made, shown), made, shown);
}

/** The kernel did not want an entry_out: the lookup in it will not be given back. */
export function takeBackEntry(parts: Parts): void {
  parts.nodes.forget(parts.reply.u64(EntryOut.nodeid), 1);
}

export function lookup(parts: Parts, request: Request): number {
  const directory = directoryOf(parts, request.nodeid);
  const name = request.name(0);
  if (typeof directory === 'number') return directory;
  if (name === null) return -EINVAL;
  const node = directory.lookup(name);
  if (typeof node === 'number') return node;
  return parts.reply.entryOut(parts.nodes.showTo(request.pid, node), node, node.type);
}

/** mkfifo and mknod. A FIFO is answered with the type that was asked for; the next lookup shows what it is (T1). */
export function mknod(parts: Parts, request: Request): number {
  const directory = directoryOf(parts, request.nodeid);
  const mode = request.u32(MknodIn.mode);
  const name = request.name(MknodIn.bytes);
  if (typeof directory === 'number') return directory;
  if (name === null) return -EINVAL;
  const type = mode & S_IFMT;
  if (type !== S_IFIFO && type !== S_IFREG) return -EPERM;
  return answerEntry(parts, directory.makeFile(name, mode, request.credentials), type);
}

export function mkdir(parts: Parts, request: Request): number {
  const directory = directoryOf(parts, request.nodeid);
  const name = request.name(MkdirIn.bytes);
  if (typeof directory === 'number') return directory;
  if (name === null) return -EINVAL;
  return answerEntry(parts, directory.makeDirectory(name, request.u32(MkdirIn.mode), request.credentials));
}

export function symlink(parts: Parts, request: Request): number {
  const directory = directoryOf(parts, request.nodeid);
  const name = request.name(0);
  const target = name === null ? null : request.name(name.length + 1);
  if (typeof directory === 'number') return directory;
  if (name === null || target === null) return -EINVAL;
  return answerEntry(parts, directory.makeSymbolicLink(name, target, request.credentials));
}

export function readlink(parts: Parts, request: Request): number {
  const node = parts.nodes.get(request.nodeid)?.node;
  return node instanceof SymbolicLink ? parts.reply.string(node.target) : -EINVAL;
}

export function link(parts: Parts, request: Request): number {
  const directory = directoryOf(parts, request.nodeid);
  const node = parts.nodes.get(request.u64(LinkIn.oldnodeid))?.node;
  const name = request.name(LinkIn.bytes);
  if (typeof directory === 'number') return directory;
  if (node === undefined) return -ENOENT;
  if (name === null) return -EINVAL;
  const error = parts.fileSystem.link(node, directory, name, request.credentials);
  return error < 0 ? error : answerEntry(parts, node);
}

export function unlink(parts: Parts, request: Request): number {
  const directory = directoryOf(parts, request.nodeid);
  const name = request.name(0);
  if (typeof directory === 'number') return directory;
  return name === null ? -EINVAL : directory.unlink(name, request.credentials);
}

export function rmdir(parts: Parts, request: Request): number {
  const directory = directoryOf(parts, request.nodeid);
  const name = request.name(0);
  if (typeof directory === 'number') return directory;
  return name === null ? -EINVAL : directory.rmdir(name);
}

export function rename(parts: Parts, request: Request): number {
  return renameAt(parts, request, RenameIn.bytes, 0);
}

export function rename2(parts: Parts, request: Request): number {
  return renameAt(parts, request, Rename2In.bytes, request.u32(Rename2In.flags));
}

function renameAt(parts: Parts, request: Request, namesOffset: number, flags: number): number {
  const from = directoryOf(parts, request.nodeid);
  const to = directoryOf(parts, request.u64(RenameIn.newdir));
  const oldName = request.name(namesOffset);
  const newName = oldName === null ? null : request.name(namesOffset + oldName.length + 1);
  if (typeof from === 'number') return from;
  if (typeof to === 'number') return to;
  if (oldName === null || newName === null) return -EINVAL;
  if (flags === RENAME_EXCHANGE) return parts.fileSystem.exchange(from, oldName, to, newName);
  if ((flags & ~RENAME_NOREPLACE) !== 0) return -EINVAL;
  const noReplace = (flags & RENAME_NOREPLACE) !== 0;
  return parts.fileSystem.rename(from, oldName, to, newName, { noReplace });
}
