import { EAGAIN, EPROTO } from '../../../kern/errno.ts';
import { atOnce, type Work } from '../../../kern/work.ts';
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_OLDEST_MINOR_VERSION,
  FUSE_PARALLEL_WRITES_MINOR_VERSION,
  INIT2_HAS_RESEND,
  INIT2_OVER_IO_URING,
  INIT2_PASSTHROUGH,
  InitFlag,
  MAX_PAGES,
  MAX_WRITE_BYTES,
} from '../protocol/constants.ts';
import {
  BatchForgetIn,
  ForgetIn,
  ForgetOne,
  InitIn,
  InitOut,
  InterruptIn,
  Kstatfs,
} from '../protocol/layouts.ts';
import type { Request } from '../protocol/request.ts';
import type { NodeTable } from '../session/node-table.ts';
import type { Answered, InFlight } from '../session/in-flight.ts';
import type { ServerParts } from '../session/server-parts.ts';

const WANTED_FLAGS =
  InitFlag.ASYNC_READ |
  InitFlag.POSIX_LOCKS |
  InitFlag.FLOCK_LOCKS |
  InitFlag.BIG_WRITES |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.MAX_PAGES |
  // The kernel asks for security.capability before the first write through its cache, and no longer before each.
  InitFlag.HANDLE_KILLPRIV_V2 |
  InitFlag.INIT_EXT;

/**
 * Requests that nobody waits for, closes above all, that the kernel puts into the queue at once. Up to so many closes at a time, what a
 * process does after a close finds the close done (T11). Those beyond wait until others have been answered, and calls go before them: a
 * process that ends with ten thousand open files makes others wait for so many closes.
 */
const MAX_BACKGROUND = 2048;
const NAME_MAX_BYTES = 255;

/** Agrees on a version and on features. A kernel too old for the layouts here is refused. */
export function init(
  {
    agreement,
    backings,
    device,
    reply,
    sizes,
    writes,
  }: Pick<ServerParts, 'agreement' | 'backings' | 'device' | 'reply' | 'sizes' | 'writes'>,
  request: Request,
): number {
  const major = request.u32(InitIn.major);
  const minor = request.u32(InitIn.minor);
  reply.clear(0, InitOut.bytes);
  reply.setU32(InitOut.major, FUSE_KERNEL_VERSION);
  reply.setU32(InitOut.minor, FUSE_KERNEL_MINOR_VERSION);
  // A newer kernel says its own major number first and then comes again with ours.
  if (major > FUSE_KERNEL_VERSION) return InitOut.bytes;
  if (major < FUSE_KERNEL_VERSION || minor < FUSE_OLDEST_MINOR_VERSION) {
    agreement.refusedMinor = minor;
    return -EPROTO;
  }
  const flags = WANTED_FLAGS & request.u32(InitIn.flags);
  const hasFlags2 = request.bodyBytes >= InitIn.flags2 + 4;
  const flags2 = (flags & InitFlag.INIT_EXT) !== 0 && hasFlags2 ? request.u32(InitIn.flags2) : 0;
  let agreed2 = flags2 & INIT2_HAS_RESEND;
  // Linux sends again only what has come through /dev/fuse.
  if (device.negotiateRing((flags2 & INIT2_OVER_IO_URING) !== 0)) agreed2 = INIT2_OVER_IO_URING;
  writes.canHoldBack = (agreed2 & INIT2_HAS_RESEND) !== 0;
  if (backings.negotiate((flags2 & INIT2_PASSTHROUGH) !== 0)) {
    agreed2 |= INIT2_PASSTHROUGH;
    reply.setU32(InitOut.maxStackDepth, 1);
  }
  reply.setU32(InitOut.flags2, agreed2);
  agreement.minor = Math.min(minor, FUSE_KERNEL_MINOR_VERSION);
  sizes.isSupported = minor >= FUSE_PARALLEL_WRITES_MINOR_VERSION;
  reply.setU32(InitOut.maxReadahead, request.u32(InitIn.maxReadahead));
  reply.setU32(InitOut.flags, flags);
  reply.setU16(InitOut.maxBackground, MAX_BACKGROUND);
  reply.setU16(InitOut.congestionThreshold, MAX_BACKGROUND);
  reply.setU32(InitOut.maxWrite, MAX_WRITE_BYTES);
  reply.setU32(InitOut.timeGran, 1);
  reply.setU16(InitOut.maxPages, MAX_PAGES);
  return InitOut.bytes;
}

export function destroy(): number {
  return 0;
}

/** Ends the sleep of another request. One that is not known may still come: the kernel asks again (T6). */
export function interrupt(
  { requests }: Pick<ServerParts, 'requests'>,
  request: Request,
  call: InFlight,
): Answered {
  const isKnown = requests.interrupt(request.unmarkedUnique(InterruptIn.unique));
  return isKnown ? call.end() : call.answer(-EAGAIN);
}

export function forget({ nodes }: Pick<ServerParts, 'nodes'>, request: Request, call: InFlight): Answered {
  nodes.forget(request.nodeid, request.u64(ForgetIn.nlookup));
  return call.end();
}

/** More are forgotten in slices: Linux puts up to 65,000 into one request. */
const FORGETS_AT_ONCE = 256;
/** Of one step. */
const STEP_FORGETS = 16;

export function batchForget(
  { background, nodes }: Pick<ServerParts, 'background' | 'nodes'>,
  request: Request,
  call: InFlight,
): Answered {
  const count = Math.min(
    request.u32(BatchForgetIn.count),
    Math.floor((request.bodyBytes - BatchForgetIn.bytes) / ForgetOne.bytes),
  );
  const pairs = new Float64Array(2 * count);
  for (let index = 0; index < count; index++) {
    const at = BatchForgetIn.bytes + ForgetOne.bytes * index;
    pairs[2 * index] = request.u64(at + ForgetOne.nodeid);
    pairs[2 * index + 1] = request.u64(at + ForgetOne.nlookup);
  }
  const forgetting = forgetEach(nodes, pairs);
  if (count <= FORGETS_AT_ONCE) atOnce(forgetting);
  else background(forgetting);
  return call.end();
}

/** Nothing depends on when a nodeid is forgotten: what the kernel has shown it for since is counted. */
function* forgetEach(nodes: NodeTable, pairs: Float64Array): Work<void> {
  for (let at = 0; at < pairs.length; at += 2) {
    if (at > 0 && at % (2 * STEP_FORGETS) === 0) yield;
    nodes.forget(pairs[at]!, pairs[at + 1]!);
  }
}

export function statfs({ fileSystem, reply }: Pick<ServerParts, 'fileSystem' | 'reply'>): number {
  const { blockSizeBytes, blocks, freeBlocks, files, freeFiles } = fileSystem.statistics();
  reply.clear(0, Kstatfs.bytes);
  reply.setU64(Kstatfs.blocks, blocks);
  reply.setU64(Kstatfs.bfree, freeBlocks);
  reply.setU64(Kstatfs.bavail, freeBlocks);
  reply.setU64(Kstatfs.files, files);
  reply.setU64(Kstatfs.ffree, freeFiles);
  reply.setU32(Kstatfs.bsize, blockSizeBytes);
  reply.setU32(Kstatfs.namelen, NAME_MAX_BYTES);
  reply.setU32(Kstatfs.frsize, blockSizeBytes);
  return Kstatfs.bytes;
}
