import type { Credentials } from '../../kern/credentials.ts';
import { EACCES, EEXIST, EISDIR, ENOENT } from '../../kern/errno.ts';
import { FWRITE } from '../../kern/file.ts';
import { openNodeAtOnce } from '../../vfs/calls.ts';
import { Directory } from '../../vfs/directory.ts';
import type { FileSystem } from '../../tree/file-system.ts';
import type { Name, Node } from '../../vfs/node.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { accessOf, mayAccess, withGroups } from '../../vfs/permission.ts';
import { fileFlags, LINUX_O_EXCL, LINUX_O_TRUNC } from './open-flags.ts';

/**
 * open(2) with O_CREAT in one step: makes the name and opens it at once, since the host's kernel holds the directory's lock
 * meanwhile (T4). `linuxFlags` are those of the open. The open file, or a negative errno with nothing made.
 */
export function createAndOpen(
  fileSystem: FileSystem,
  directory: Directory,
  name: Name,
  mode: number,
  linuxFlags: number,
  credentials: Credentials,
): OpenFile | number {
  // Another process may have made the name since this one looked.
  const found = directory.lookup(name);
  const isMaker = found === -ENOENT;
  if (!isMaker && (linuxFlags & LINUX_O_EXCL) !== 0) return -EEXIST;
  const node = isMaker ? directory.createFile(name, mode, credentials) : found;
  if (typeof node === 'number') return node;
  if (node instanceof Directory) return -EISDIR;
  // The host's kernel found no name, so it has checked nothing of what has come since: a segment, by the control file.
  if (!isMaker && !mayOpen(fileSystem, node, linuxFlags, credentials)) return -EACCES;
  const file = fileSystem.openFiles.add(node, fileFlags(linuxFlags), credentials);
  const error = typeof file === 'number' ? file : openNodeAtOnce(file, isMaker);
  if (typeof file !== 'number' && error >= 0) return file;
  if (typeof file !== 'number') fileSystem.openFiles.drop(file);
  if (isMaker) directory.undoCreation(name);
  return error;
}

function mayOpen(fileSystem: FileSystem, node: Node, linuxFlags: number, credentials: Credentials): boolean {
  const flags = fileFlags(linuxFlags) | ((linuxFlags & LINUX_O_TRUNC) !== 0 ? FWRITE : 0);
  return mayAccess(node, withGroups(credentials, fileSystem.kernel.host), accessOf(flags));
}
