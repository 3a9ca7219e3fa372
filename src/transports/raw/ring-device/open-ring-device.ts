import createDebug from 'debug';
import { currentProcessor, possibleProcessors } from '../../../host/linux/processes/processors.ts';
import { ENOMEM, EPERM, errnoName } from '../../../kern/errno.ts';
import type { Host } from '../../../kern/host.ts';
import type { WantedRing } from '../../common/transport.ts';
import type { FuseDevice } from '../device/device.ts';
import { blockBytes, MappedEntryMemory } from './entry-memory.ts';
import { FuseEntryRing } from './entry-ring.ts';
import { RingDevice } from './ring-device.ts';

const log = createDebug('ipcfs:ring');

const NO_DESCRIPTOR = -1;
/** Entries of all queues before any call is blocked, and of one queue at most. */
const INITIAL_ENTRIES = 1024;
const MOST_INITIAL_ENTRIES = 256;
/** With fewer entries in all, /dev/fuse serves better. */
const LEAST_ENTRIES = 512;

const NOT_OFFERED =
  'the kernel does not offer FUSE over io_uring: on Linux 6.14 or newer, root turns it on with ' +
  "'echo 1 > /sys/module/fuse/parameters/enable_uring'";

/** What a mount is served by, and why not by a ring. */
export interface OpenedDevice {
  readonly device: FuseDevice | RingDevice;
  /** Why requests do not come through a ring, once the kernel has answered; null when they do. What to do is said too. */
  readonly refusal: () => string | null;
}

export interface RingWishes {
  readonly wanted: WantedRing;
  readonly fuseDescriptor: number;
  /** Unanswered requests at most. */
  readonly entryLimit: number;
  readonly host: Host;
}

/** Puts a ring before `fuse` where one is wanted and can be had. The kernel's offer comes later, with INIT. */
export function openRingDevice(
  fuse: FuseDevice,
  { wanted, fuseDescriptor, entryLimit: wantedEntries, host }: RingWishes,
): OpenedDevice {
  if (wanted === 'off') return { device: fuse, refusal: () => null };
  const queueCount = possibleProcessors();
  const limit = Math.max(wantedEntries, queueCount);
  const [ring, entryLimit] = openRing(fuseDescriptor, limit);
  if (typeof ring === 'number') {
    log('no io_uring: %s', errnoName(ring));
    return { device: fuse, refusal: () => refusalOf(ring) };
  }
  if (fuse.watchDescriptor < 0) {
    ring.close();
    return {
      device: fuse,
      refusal: () => 'there is no descriptor for an epoll: raise the limit of open files',
    };
  }
  const device = new RingDevice(fuse, {
    ring,
    memory: new MappedEntryMemory(),
    currentProcessor,
    queueCount,
    initialCount: Math.max(
      1,
      Math.min(MOST_INITIAL_ENTRIES, Math.floor(Math.min(INITIAL_ENTRIES, entryLimit) / queueCount)),
    ),
    entryLimit,
    hasMemory: (count) => host.hasMemory(blockBytes(count)),
  });
  return { device, refusal: () => (device.isRing ? null : (device.refusal ?? NOT_OFFERED)) };
}

/** Why this process gets no ring, with what to do; null when it gets one. */
export function ringRefusal(): string | null {
  const [ring] = openRing(NO_DESCRIPTOR, LEAST_ENTRIES);
  if (typeof ring === 'number') return refusalOf(ring);
  ring.close();
  return null;
}

/** A ring for `limit` entries, or for fewer where memory may not be locked for so many; its limit. A negative errno without one. */
function openRing(fuseDescriptor: number, limit: number): [ring: FuseEntryRing | number, entryLimit: number] {
  const ring = FuseEntryRing.open(fuseDescriptor, limit);
  const fewer = limit >> 2;
  if (ring !== -ENOMEM || fewer < LEAST_ENTRIES) return [ring, limit];
  return openRing(fuseDescriptor, fewer);
}

function refusalOf(error: number): string {
  if (error === -EPERM) {
    return (
      'io_uring_setup(2) is not allowed (EPERM): set the sysctl kernel.io_uring_disabled to 0, ' +
      "and let the container's seccomp filter pass it"
    );
  }
  if (error === -ENOMEM)
    return "there is no memory for an io_uring (ENOMEM): raise 'ulimit -l', the memory that may be locked";
  return `io_uring_setup(2) failed with ${errnoName(error)}: it needs Linux 6.14 or newer`;
}
