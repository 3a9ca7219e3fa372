import { EBADF, EBUSY, ENOENT, ENOMEM, ENOTDIR } from '../../../kern/errno.ts';
import { FREAD, knotesOfClosedFile } from '../../../kern/file.ts';
import type { Operation } from '../../../kern/operation.ts';
import { Directory, type DirectoryEntry } from '../../../vfs/directory.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import { OpenOut, ReadIn, ReleaseIn } from '../protocol/layouts.ts';
import type { Request } from '../protocol/request.ts';
import type { Answered, InFlight } from '../session/in-flight.ts';
import type { ServerParts } from '../session/server-parts.ts';

type Parts = Pick<ServerParts, 'fileSystem' | 'handles' | 'nodes' | 'reply'>;

/** About what an entry of a list takes in memory, beside its name: that outlives its removal here. */
const ENTRY_BYTES = 64;

function sizeOf(list: readonly DirectoryEntry[]): number {
  let sizeBytes = 0;
  for (const { name } of list) sizeBytes += ENTRY_BYTES + name.length;
  return sizeBytes;
}

export function opendir({ fileSystem, handles, nodes, reply }: Parts, request: Request): number {
  const node = nodes.get(request.nodeid)?.node;
  if (node === undefined) return -ENOENT;
  if (!(node instanceof Directory)) return -ENOTDIR;
  const file = fileSystem.openFiles.add(node, FREAD, request.credentials);
  if (typeof file === 'number') return file;
  fileSystem.openFiles.identify(file, request.nodeid);
  handles.add(file);
  reply.openOut(0, file.handle, 0);
  return OpenOut.bytes;
}

/** The kernel did not want an opened directory: it will not be released. */
export function takeBackOpendir(parts: Parts): void {
  closeDirectory(parts, parts.handles.get(parts.reply.u64(OpenOut.fh))!);
}

/** Reading from the start takes a new look; going on reads the list as it was then, whatever has been removed since. */
export function readdir(parts: Parts, request: Request, call: InFlight): Answered {
  const file = parts.handles.get(request.u64(ReadIn.fh));
  if (!(file?.node instanceof Directory)) return call.answer(-EBADF);
  call.node = file.node;
  call.file = file;
  return call.run(list(parts, file, file.node, request.u64(ReadIn.offset), request.u32(ReadIn.size)));
}

function* list(
  { fileSystem, reply }: Parts,
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

export function releasedir(parts: Parts, request: Request): number {
  const file = parts.handles.get(request.u64(ReleaseIn.fh));
  if (!(file?.node instanceof Directory)) return -EBADF;
  // The kernel keeps a directory as long as calls on it are in progress.
  if (parts.handles.isBusy(file)) return -EBUSY;
  closeDirectory(parts, file);
  knotesOfClosedFile(file);
  return 0;
}

function closeDirectory({ handles, fileSystem }: Parts, file: OpenFile): void {
  handles.remove(file);
  fileSystem.openFiles.drop(file);
}
