import { EINVAL, ENOENT, ERANGE } from '../../../kern/errno.ts';
import { textOfBytes } from '../../../vfs/text-file.ts';
import { SETXATTR_IN_BYTES } from '../protocol/constants.ts';
import { GetxattrIn, GetxattrOut, SetxattrIn } from '../protocol/layouts.ts';
import type { Reply } from '../protocol/reply.ts';
import type { Request } from '../protocol/request.ts';
import type { ServerParts } from '../session/server-parts.ts';

type Parts = Pick<ServerParts, 'fileSystem' | 'nodes' | 'reply'>;

/** getxattr(2). The kernel asks for security.capability by itself, so no name is ENOSYS: it would ask for none any more. */
export function getxattr({ fileSystem, nodes, reply }: Parts, request: Request): number {
  const entry = nodes.get(request.nodeid);
  const name = request.name(GetxattrIn.bytes);
  if (entry === undefined) return -ENOENT;
  if (name === null) return -EINVAL;
  const value = fileSystem.attributes.get(entry.node, name);
  return typeof value === 'number' ? value : answerText(reply, request.u32(GetxattrIn.size), value);
}

/** listxattr(2): each name ends with a NUL. */
export function listxattr({ fileSystem, nodes, reply }: Parts, request: Request): number {
  const entry = nodes.get(request.nodeid);
  if (entry === undefined) return -ENOENT;
  const names = fileSystem.attributes.list(entry.node).map((name) => `${name}\0`);
  return answerText(reply, request.u32(GetxattrIn.size), names.join(''));
}

/** setxattr(2): the name and then the value follow the structure. */
export function setxattr({ fileSystem, nodes }: Parts, request: Request): number {
  const entry = nodes.get(request.nodeid);
  const name = request.name(SETXATTR_IN_BYTES);
  if (entry === undefined) return -ENOENT;
  if (name === null) return -EINVAL;
  const valueOffset = SETXATTR_IN_BYTES + name.length + 1;
  const sizeBytes = request.u32(SetxattrIn.size);
  if (sizeBytes !== request.bodyBytes - valueOffset) return -EINVAL;
  const value = textOfBytes(request.payload(valueOffset, sizeBytes));
  return fileSystem.attributes.set(
    entry.node,
    name,
    value,
    request.u32(SetxattrIn.flags),
    request.credentials,
  );
}

export function removexattr({ fileSystem, nodes }: Parts, request: Request): number {
  const entry = nodes.get(request.nodeid);
  const name = request.name(0);
  if (entry === undefined) return -ENOENT;
  return name === null ? -EINVAL : fileSystem.attributes.remove(entry.node, name, request.credentials);
}

/** `text` for a caller with room for `roomBytes`; its size for a caller with none. */
function answerText(reply: Reply, roomBytes: number, text: string): number {
  if (roomBytes > 0) return text.length > roomBytes ? -ERANGE : reply.string(text);
  reply.setU32(GetxattrOut.size, text.length);
  reply.setU32(GetxattrOut.padding, 0);
  return GetxattrOut.bytes;
}
