import { EBADF, EBUSY, ENOENT, ENOMEM, ENOTDIR } from '../../../kern/errno.ts';
import { FREAD, knotesOfClosedFile } from '../../../kern/file.ts';
import type { Operation } from '../../../kern/operation.ts';
import { Directory, type DirectoryEntry } from '../../../vfs/directory.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import { OpenOut, ReadIn, ReleaseIn } from '../protocol/layouts.ts';
import type { Request } from '../protocol/request.ts';
import type { Session } from '../session.ts';

/** About what an entry of a list takes in memory, beside its name: that outlives its removal here. */
const ENTRY_BYTES = 64;

function sizeOf(list: readonly DirectoryEntry[]): number {
  let sizeBytes = 0;
  for (const { name } of list) sizeBytes += ENTRY_BYTES + name.length;
  return sizeBytes;
}

export function opendir(session: Session, request: Request): number {
  const node = session.nodes.get(request.nodeid)?.node;
  if (node === undefined) return -ENOENT;
  if (!(node instanceof Directory)) return -ENOTDIR;
  const file = session.fileSystem.openFiles.add(node, FREAD, request.credentials);
  if (typeof file === 'number') return file;
  session.fileSystem.openFiles.identify(file, request.nodeid);
  file.isOpen = true;
  session.reply.openOut(0, file.handle, 0);
  return OpenOut.bytes;
}

/** The kernel did not want an opened directory: it will not be released. */
export function takeBackOpendir(session: Session): void {
  session.fileSystem.openFiles.drop(session.openFile(session.reply.u64(OpenOut.fh))!);
}

/** Reading from the start takes a new look; going on reads the list as it was then, whatever has been removed since. */
export function readdir(session: Session, request: Request): number {
  const file = session.openFile(request.u64(ReadIn.fh));
  if (!(file?.node instanceof Directory)) return -EBADF;
  const thread = session.thread(request);
  thread.node = file.node;
  thread.file = file;
  thread.operation = list(session, file, file.node, request.u64(ReadIn.offset), request.u32(ReadIn.size));
  return session.start(thread);
}

function* list(
  { fileSystem, reply }: Session,
  file: OpenFile,
  directory: Directory,
  first: number,
  sizeBytes: number,
): Operation<number> {
  if (first === 0 || file.data === null) {
    const listed = yield* fileSystem.context.slicer.run(directory.listing());
    if (listed === null || !file.hold(sizeOf(listed))) return -ENOMEM;
    file.data = listed;
  }
  const entries = file.data as DirectoryEntry[];
  const limit = Math.min(sizeBytes, reply.payloadCapacity);
  let length = 0;
  for (let index = first; index < entries.length; index++) {
    const { name, inode, type } = entries[index]!;
    const used = reply.dirent(length, limit, name, inode, type, index + 1);
    if (used === 0) break;
    length += used;
  }
  return length;
}

export function releasedir(session: Session, request: Request): number {
  const file = session.openFile(request.u64(ReleaseIn.fh));
  if (!(file?.node instanceof Directory)) return -EBADF;
  // The kernel keeps a directory as long as calls on it are in progress.
  if (file.sleepers > 0) return -EBUSY;
  session.fileSystem.openFiles.drop(file);
  knotesOfClosedFile(file);
  return 0;
}
