import type { Timestamps } from '../kern/clock.ts';
import type { Credentials } from '../kern/credentials.ts';
import { EINVAL, ENOMEM } from '../kern/errno.ts';
import { File, type FileOps, FNONBLOCK, FREAD, FWRITE } from '../kern/file.ts';
import { PAGE_SIZE_BYTES } from './budget.ts';
import { closeIdle, pipeClose } from './close.ts';
import type { PipeEnd } from './end.ts';
import { pipeKqfilter } from './filters.ts';
import { pipeIoctl } from './ioctl.ts';
import { PipePair } from './pair.ts';
import { pipePoll } from './poll.ts';
import { pipeRead } from './read.ts';
import type { PipeSubsystem } from './subsystem.ts';
import { pipeWrite } from './write.ts';

/** The operations of a descriptor that pipe2 made. Its `data` is a PipeEnd. */
export const anonymousPipeOps: FileOps = {
  read: pipeRead,
  write: pipeWrite,
  ioctl: pipeIoctl,
  poll: pipePoll,
  kqfilter: pipeKqfilter,
  close: (file) => pipeClose(file.data as PipeEnd),
};

/** What stat says of an end of an anonymous pair (pipe_stat; P108). */
export interface PipeStat {
  /** S_IFIFO without permission bits. */
  readonly mode: number;
  readonly blockSizeBytes: number;
  readonly sizeBytes: number;
  /** In blocks of `blockSizeBytes`, as the original counts. */
  readonly blocks: number;
  readonly times: Timestamps;
  readonly uid: number;
  readonly gid: number;
  readonly inode: number;
  readonly linkCount: number;
}

const S_IFIFO = 0o010000;

/** fstat(2) on an anonymous pipe, or the policy's negative errno. */
export function pipeStat(end: PipeEnd, credentials: Credentials): PipeStat | number {
  const denied = end.pair.subsystem.policy?.checkStat?.(credentials, end.pair) ?? 0;
  if (denied !== 0) return denied;
  return {
    mode: S_IFIFO,
    blockSizeBytes: PAGE_SIZE_BYTES,
    sizeBytes: end.queuedBytes,
    blocks: Math.ceil(end.queuedBytes / PAGE_SIZE_BYTES),
    times: { ...end.times },
    uid: end.pair.credentials.uid,
    gid: end.pair.credentials.gid,
    inode: end.inode,
    linkCount: 0,
  };
}

/** What kinfo shows of the ring of an end. */
export interface RingInfo {
  /** Bytes in the ring. */
  readonly count: number;
  /** Where the next byte is written, and where the next one is read. */
  readonly in: number;
  readonly out: number;
  readonly sizeBytes: number;
}

/** pipe_fill_kinfo (P110). */
export function pipeInfo(end: PipeEnd): RingInfo {
  return { count: end.ring.count, in: end.ring.in, out: end.ring.out, sizeBytes: end.ring.size };
}

/** Flags of pipe2, in FreeBSD's numbering. */
export const PIPE2_NONBLOCK = 0x0004;
export const PIPE2_CLOEXEC = 0x0010_0000;

/** The caller's side of pipe2: its descriptor table and its memory. */
export interface DescriptorTable {
  /** A free number for `file`, or a negative errno (EMFILE, ENFILE). */
  allocate(file: File, closeOnExec: boolean): number;
  /** Frees a number that `allocate` returned. */
  release(descriptor: number): void;
  /** Stores both numbers in the caller's memory. 0 or -EFAULT. */
  store(descriptors: readonly [number, number]): number;
}

/**
 * pipe2(2) (kern_pipe; P1, P10 to P12, P141): two files, each for reading and writing, over a new pair. -EINVAL for other
 * flags, -ENOMEM, or what the table says; nothing is kept then.
 */
export function pipe2(
  subsystem: PipeSubsystem,
  table: DescriptorTable,
  flags: number,
  credentials: Credentials,
): readonly [File, File] | number {
  if ((flags & ~(PIPE2_NONBLOCK | PIPE2_CLOEXEC)) !== 0) return -EINVAL;
  const pair = PipePair.create(subsystem, credentials);
  if (pair === null) return -ENOMEM;
  const fileFlags = FREAD | FWRITE | ((flags & PIPE2_NONBLOCK) !== 0 ? FNONBLOCK : 0);
  const open = (end: PipeEnd): File => {
    const file = new File(fileFlags, anonymousPipeOps, credentials);
    file.data = end;
    return file;
  };
  const files = [open(pair.ends[0]), open(pair.ends[1])] as const;
  const numbers: number[] = [];
  const undo = (error: number): number => {
    for (const number of numbers) table.release(number);
    for (const end of pair.ends) closeIdle(end);
    return error;
  };
  for (const file of files) {
    const number = table.allocate(file, (flags & PIPE2_CLOEXEC) !== 0);
    if (number < 0) return undo(number);
    numbers.push(number);
  }
  const fault = table.store([numbers[0]!, numbers[1]!]);
  return fault === 0 ? files : undo(fault);
}
