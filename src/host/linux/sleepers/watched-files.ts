import type { WatchSource } from './sleeping-call.ts';

/** A descriptor that a poll, select or epoll watches, and for what. With neither it is watched for errors and the other side's end. */
export interface WatchedDescriptor {
  readonly descriptor: number;
  readonly forReading: boolean;
  readonly forWriting: boolean;
  /** The file as an epoll names it: its descriptor may lead to another one by now. Null for polls and selects. */
  readonly file: {
    readonly inode: number;
    readonly deviceMajor: number;
    readonly deviceMinor: number;
  } | null;
}

/** Reads what a process has in its memory, up to the end of what can be read; null when it may not be read. */
export type ReadMemory = (address: bigint, sizeBytes: number) => Buffer | null;
/** The text of /proc/PID/fdinfo/N, null when it is too long or may not be read. */
export type ReadInfo = (descriptor: number) => string | null;

/** Descriptors that a call may watch to be looked at. */
export const MOST_WATCHED = 1024;
/** Of select, whose sets have a bit for each. */
const MOST_BITS = 8192;

const POLLFD_BYTES = 8;
/** POLLIN, POLLPRI, POLLRDNORM, POLLRDBAND, POLLRDHUP. */
const READ_EVENTS = 0x1 | 0x2 | 0x40 | 0x80 | 0x2000;
/** POLLOUT, POLLWRNORM, POLLWRBAND. */
const WRITE_EVENTS = 0x4 | 0x100 | 0x200;
/** Bits of an epoll's entry that say how, and not what. One that has been delivered once has no others. */
const EPOLL_HOW = 0xf000_0000;

/** What a call watches; null when that is not known to the end. */
export function readWatched(
  source: WatchSource,
  memory: ReadMemory,
  info: ReadInfo,
): readonly WatchedDescriptor[] | null {
  switch (source.kind) {
    case 'poll':
      return pollWatched(source, memory);
    case 'select':
      return selectWatched(source, memory);
    case 'epoll':
      return epollWatched(info(source.descriptor));
  }
}

function pollWatched(
  { address, count }: Extract<WatchSource, { kind: 'poll' }>,
  memory: ReadMemory,
): readonly WatchedDescriptor[] | null {
  if (count === 0) return [];
  if (count < 0 || count > MOST_WATCHED) return null;
  const sizeBytes = count * POLLFD_BYTES;
  const bytes = memory(address, sizeBytes);
  if (bytes?.length !== sizeBytes) return null;
  const watched: WatchedDescriptor[] = [];
  for (let at = 0; at < sizeBytes; at += POLLFD_BYTES) {
    const descriptor = bytes.readInt32LE(at);
    // Entries of negative numbers are left out by poll.
    if (descriptor >= 0) watched.push({ descriptor, ...wishesOf(bytes.readUInt16LE(at + 4)), file: null });
  }
  return watched;
}

function wishesOf(events: number): Pick<WatchedDescriptor, 'forReading' | 'forWriting'> {
  return { forReading: (events & READ_EVENTS) !== 0, forWriting: (events & WRITE_EVENTS) !== 0 };
}

function selectWatched(
  { count, addresses }: Extract<WatchSource, { kind: 'select' }>,
  memory: ReadMemory,
): readonly WatchedDescriptor[] | null {
  if (count < 0 || count > MOST_BITS) return null;
  // The kernel reads whole words of 64 bits.
  const sizeBytes = Math.ceil(count / 64) * 8;
  const sets: (Buffer | null)[] = [];
  for (const address of addresses) {
    const set = address === 0n || sizeBytes === 0 ? null : memory(address, sizeBytes);
    if (set === null ? address !== 0n && sizeBytes > 0 : set.length !== sizeBytes) return null;
    sets.push(set);
  }
  const isIn = (set: Buffer | null | undefined, descriptor: number): boolean =>
    set != null && ((set[descriptor >> 3]! >> (descriptor & 7)) & 1) === 1;
  const watched: WatchedDescriptor[] = [];
  for (let descriptor = 0; descriptor < count; descriptor++) {
    const forReading = isIn(sets[0], descriptor);
    const forWriting = isIn(sets[1], descriptor);
    if (!forReading && !forWriting && !isIn(sets[2], descriptor)) continue;
    if (watched.length === MOST_WATCHED) return null;
    watched.push({ descriptor, forReading, forWriting, file: null });
  }
  return watched;
}

const WATCH_LINE =
  /^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*[0-9a-f]+\s+pos:\s*\S+ ino:([0-9a-f]+) sdev:([0-9a-f]+)$/;
const MINOR_BITS = 20;

function epollWatched(text: string | null): readonly WatchedDescriptor[] | null {
  if (text === null) return null;
  const watched: WatchedDescriptor[] = [];
  for (const line of text.split('\n')) {
    if (!line.startsWith('tfd:')) continue;
    const match = WATCH_LINE.exec(line);
    if (match === null || watched.length === MOST_WATCHED) return null;
    const events = parseInt(match[2]!, 16);
    if ((events & ~EPOLL_HOW) === 0) continue;
    const device = parseInt(match[4]!, 16);
    const file = {
      inode: parseInt(match[3]!, 16),
      deviceMajor: device >>> MINOR_BITS,
      deviceMinor: device & ((1 << MINOR_BITS) - 1),
    };
    watched.push({ descriptor: Number(match[1]), ...wishesOf(events), file });
  }
  // A descriptor that is no epoll has no such lines, and one that is has a watch or sleeps for ever.
  return watched;
}
