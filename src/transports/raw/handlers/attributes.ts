import type { Timespec } from '../../../kern/clock.ts';
import { ENOENT } from '../../../kern/errno.ts';
import type { Operation } from '../../../kern/operation.ts';
import { setNodeAttributes } from '../../../vfs/calls.ts';
import { type AttributeChange, type Node, S_IFDIR, S_ISGID, S_ISUID, S_IXGRP } from '../../../vfs/node.ts';
import {
  FATTR_ATIME,
  FATTR_ATIME_NOW,
  FATTR_FH,
  FATTR_GID,
  FATTR_KILL_SUIDGID,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_MTIME_NOW,
  FATTR_SIZE,
  FATTR_UID,
} from '../protocol/constants.ts';
import { AttrOut, SetattrIn } from '../protocol/layouts.ts';
import type { Request } from '../protocol/request.ts';
import type { NodeEntry } from '../session/node-table.ts';
import type { Answered, InFlight } from '../session/in-flight.ts';
import type { ServerParts } from '../session/server-parts.ts';
import { STREAM_SIZE_BYTES } from '../session/stream-sizes.ts';

type Parts = Pick<ServerParts, 'fileSystem' | 'nodes' | 'reply' | 'sizes' | 'textSizes'>;

export function getattr(parts: Parts, request: Request, call: InFlight): Answered {
  const { nodeid } = request;
  const entry = parts.nodes.get(nodeid);
  if (entry === undefined) return call.answer(-ENOENT);
  const settling = entry.node.settle();
  if (settling === null) return call.answer(fstatOrStat(parts, nodeid, entry));
  call.node = entry.node;
  return call.run(settled(parts, nodeid, entry, settling));
}

/** The attributes, in the reply: their length. */
function fstatOrStat(parts: Parts, nodeid: number, entry: NodeEntry): number {
  const { reply, sizes, fileSystem } = parts;
  const { node } = entry;
  const length = attributesOf(parts, nodeid, entry);
  if (sizes.isEndless(nodeid, entry)) {
    // A path would have been looked up, and so have another nodeid: this is the fstat of an open file.
    if (!fileSystem.fstatSize.isShown) reply.size(AttrOut.attr, node.openSizeBytes);
    sizes.keep(nodeid);
  }
  return length;
}

function* settled(
  parts: Parts,
  nodeid: number,
  entry: NodeEntry,
  settling: Operation<void>,
): Operation<number> {
  yield* settling;
  return fstatOrStat(parts, nodeid, entry);
}

/** chmod, chown, utimensat, truncate (struct fuse_setattr_in). */
export function setattr(parts: Parts, request: Request): number {
  const entry = parts.nodes.get(request.nodeid);
  if (entry === undefined) return -ENOENT;
  const { node } = entry;
  const valid = request.u32(SetattrIn.valid);
  const isEmptying = (valid & FATTR_SIZE) !== 0 && request.u64(SetattrIn.size) === 0;
  // open(2) with O_TRUNC, which has opened the file before, or truncate(2) to 0 by path, which looks the same. Nothing is cut off here.
  if (isEmptying && (valid & FATTR_FH) === 0) return storedAttributes(parts, request, entry);
  const now = parts.fileSystem.context.now();
  const timeAt = (secondsOffset: number, nanosecondsOffset: number): Timespec => ({
    seconds: request.s64(secondsOffset),
    nanoseconds: request.u32(nanosecondsOffset),
  });
  const change: { -readonly [K in keyof AttributeChange]: AttributeChange[K] } = {};
  if ((valid & FATTR_MODE) !== 0) change.mode = request.u32(SetattrIn.mode);
  if ((valid & FATTR_UID) !== 0) change.uid = request.u32(SetattrIn.uid);
  if ((valid & FATTR_GID) !== 0) change.gid = request.u32(SetattrIn.gid);
  if ((valid & FATTR_SIZE) !== 0) change.sizeBytes = request.u64(SetattrIn.size);
  if ((valid & FATTR_ATIME) !== 0) {
    change.accessed = (valid & FATTR_ATIME_NOW) !== 0 ? now : timeAt(SetattrIn.atime, SetattrIn.atimensec);
  }
  if ((valid & FATTR_MTIME) !== 0) {
    change.modified = (valid & FATTR_MTIME_NOW) !== 0 ? now : timeAt(SetattrIn.mtime, SetattrIn.mtimensec);
  }
  if (change.mode === undefined && losesSetId(valid, node)) change.mode = withoutSetId(node.permissions);
  const error = setNodeAttributes(node, change, request.credentials);
  return error < 0 ? error : storedAttributes(parts, request, entry);
}

/** Whether a change takes set-id bits away: with HANDLE_KILLPRIV_V2 the kernel leaves that to the file system. */
function losesSetId(valid: number, { permissions, type }: Node): boolean {
  return (
    (valid & (FATTR_KILL_SUIDGID | FATTR_UID | FATTR_GID)) !== 0 &&
    (permissions & (S_ISUID | S_ISGID)) !== 0 &&
    type !== S_IFDIR
  );
}

/** A set-group-id bit without the group's right to execute means something else, and stays. */
function withoutSetId(permissions: number): number {
  const isGroupExecutable = (permissions & S_IXGRP) !== 0;
  return permissions & ~S_ISUID & ~(isGroupExecutable ? S_ISGID : 0);
}

/** The kernel stores the answer to a SETATTR in any case. */
function storedAttributes(parts: Parts, { nodeid }: Request, entry: NodeEntry): number {
  const length = attributesOf(parts, nodeid, entry);
  if (parts.sizes.isEndless(nodeid, entry)) parts.reply.size(AttrOut.attr, STREAM_SIZE_BYTES);
  return length;
}

/** With the size of the text that is open under the nodeid, if one is. */
function attributesOf({ reply, textSizes }: Parts, nodeid: number, entry: NodeEntry): number {
  const length = reply.attrOut(entry.node, entry.type);
  const textSizeBytes = textSizes.of(nodeid, entry);
  if (textSizeBytes > 0) reply.size(AttrOut.attr, textSizeBytes);
  return length;
}
