import type { Credentials } from '../kern/credentials.ts';
import { ENOMEM, ENOTTY } from '../kern/errno.ts';
import { File, type FileOps, FREAD, FWRITE, Ioctl, type IoctlArgument } from '../kern/file.ts';
import type { Knote as ListedKnote } from '../kern/klist.ts';
import { POLLIN, POLLOUT, type Poller, POLLRDNORM, POLLWRNORM } from '../kern/poll.ts';
import { binaryRead, binaryWrite } from './binary-file.ts';
import { attachKqueue } from './filters/kqueue.ts';
import { handleOf, KqueueHandle } from './handle.ts';
import { keventCall } from './kevent-call.ts';
import type { Knote } from './knote.ts';
import type { Kqueue } from './kqueue.ts';
import type { KqueueSubsystem } from './subsystem.ts';
import { textRead, textWrite } from './text-file.ts';

/** ioctl(2) on a kqueue (kqueue_ioctl; K4). 0, -ENOTTY, or what the host says of an owner; 0 removes the owner. */
function kqueueIoctl(file: File, command: number, argument: IoctlArgument, credentials: Credentials): number {
  const { kqueue } = handleOf(file)!;
  switch (command) {
    case Ioctl.FIOASYNC:
      kqueue.isAsync = argument.value !== 0;
      return 0;
    case Ioctl.FIOSETOWN: {
      const { host } = kqueue.subsystem.kernel;
      const owner = argument.value === 0 ? null : host.signalOwner(argument.value, credentials);
      if (typeof owner === 'number') return owner;
      kqueue.owner = owner;
      return 0;
    }
    default:
      return -ENOTTY;
  }
}

/** poll(2): readable while a read would return something to this caller, always writable. */
function kqueuePoll(file: File, events: number, poller: Poller | null, credentials: Credentials): number {
  const handle = handleOf(file)!;
  const { kqueue } = handle;
  let ready = 0;
  if (file.readable) kqueue.catchUp();
  if (
    file.readable &&
    (handle.recordCount > 0 || handle.restFor(credentials) !== null || kqueue.firstDeliverable() !== null)
  ) {
    ready |= events & (POLLIN | POLLRDNORM);
  }
  if (file.writable) ready |= events & (POLLOUT | POLLWRNORM);
  if (poller !== null) kqueue.pollQueue.record(poller);
  return ready;
}

const commonOps = {
  ioctl: kqueueIoctl,
  exchange: keventCall,
  poll: kqueuePoll,
  kqfilter: (file: File, knote: ListedKnote) => attachKqueue(handleOf(file)!.kqueue, knote as Knote),
  /** kqueue_close: the queue ends with its last file, name and call (K8, K9). */
  *close(file: File) {
    handleOf(file)!.kqueue.release();
    return 0;
  },
} satisfies Partial<FileOps>;

/** One change or event a line. */
export const textKqueueOps: FileOps = { ...commonOps, read: textRead, write: textWrite };

/** Arrays of 32-byte records. */
export const binaryKqueueOps: FileOps = { ...commonOps, read: binaryRead, write: binaryWrite };

/** Makes `file` an open file of `kqueue`, which it holds until its close. */
export function openKqueue(file: File, kqueue: Kqueue, ops: FileOps): void {
  kqueue.hold();
  file.ops = ops;
  file.data = new KqueueHandle(kqueue, file, false);
}

/** Gives a file a number: the caller's descriptor table, as kqueue(2) needs it. */
export interface DescriptorAllocator {
  /** A free number, or a negative errno (EMFILE, ENFILE). */
  allocate(file: File): number;
}

/** kqueue(2) (sys_kqueue; K1): a file for reading and writing over a new queue, or what the table says; -ENOMEM by quota. */
export function createKqueue(
  subsystem: KqueueSubsystem,
  table: DescriptorAllocator,
  credentials: Credentials,
): File | number {
  const kqueue = subsystem.create(credentials);
  if (kqueue === null) return -ENOMEM;
  kqueue.hold();
  const file = new File(FREAD | FWRITE, binaryKqueueOps, credentials);
  file.data = new KqueueHandle(kqueue, file, true);
  const number = table.allocate(file);
  if (number < 0) {
    kqueue.release();
    return number;
  }
  return file;
}
