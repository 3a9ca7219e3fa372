import { assert } from '../kern/assert.ts';
import { EACCES, EFAULT, EINVAL, EMFILE, ENOMEM } from '../kern/errno.ts';
import type { Operation } from '../kern/operation.ts';
import { type Attachment, privateMap, type ShmProcess } from './attachments.ts';
import { IPC_READ, IPC_WRITE, SHM_RDONLY, SHM_RND } from './flags.ts';
import { dropAttachment } from './lifetime.ts';
import { PAGE_SIZE_BYTES } from './limits.ts';
import { mayAccess } from './permissions.ts';
import { type Segment, SegmentState } from './segment.ts';
import type { ShmSubsystem } from './subsystem.ts';

export interface AttachRequest {
  /** 0 lets the system choose (S36). */
  readonly address?: number;
  /** SHM_RDONLY, SHM_RND. */
  readonly flags?: number;
}

/**
 * shmat(2): the address of a new attachment of the segment with this id. -EINVAL (no such segment; S31), -EACCES (S32), then the
 * errors of `attach`.
 */
export function* shmat(
  shm: ShmSubsystem,
  process: ShmProcess,
  id: number,
  request: AttachRequest = {},
): Operation<number> {
  const segment = shm.table.find(id);
  if (segment === null) return -EINVAL;
  const isReadOnly = ((request.flags ?? 0) & SHM_RDONLY) !== 0;
  const wanted = isReadOnly ? IPC_READ : IPC_READ | IPC_WRITE;
  if (!mayAccess(segment.permissions, process.credentials, wanted)) return -EACCES;
  const attachment = yield* attach(shm, process, segment, request);
  return typeof attachment === 'number' ? attachment : attachment.address;
}

/**
 * Attaches a segment that the caller has found and may use. -EMFILE (shmseg attachments are there; S33, S34), -EINVAL (address), or
 * what mapping and wiring failed with, where EFAULT becomes ENOMEM (S40, S41). A failure after the first two has counted up
 * and down again: the detach time is set, and the caller is the last pid.
 */
export function* attach(
  shm: ShmSubsystem,
  process: ShmProcess,
  segment: Segment,
  { address = 0, flags = 0 }: AttachRequest = {},
): Operation<Attachment | number> {
  assert(
    segment.state === SegmentState.Live || segment.attachCount > 0,
    'what is attached has been created, and has not ended',
  );
  if (process.attachmentCount >= shm.limits.attachmentsPerProcess) return -EMFILE;
  const place = placeFor(address, flags);
  if (place < 0) return -EINVAL;

  privateMap(shm, process);
  segment.lastPid = process.credentials.pid;
  segment.attachCount++;
  segment.attachesUnderWay++;
  process.attachesUnderWay++;
  shm.enterCall();
  const isReadOnly = (flags & SHM_RDONLY) !== 0;
  const result = yield* mapSegment(shm, process, segment, address === 0 ? null : place, isReadOnly);
  shm.leaveCall();
  process.attachesUnderWay--;
  segment.attachesUnderWay--;
  if (result < 0) {
    dropAttachment(shm, segment);
    return result;
  }

  const attachment = { segment, address: result, sizeBytes: segment.mappedBytes, isReadOnly };
  // The process may have forked meanwhile: its child has no such mapping.
  const { attachments } = privateMap(shm, process);
  assert(!attachments.has(result), 'mappings do not overlap');
  attachments.set(result, attachment);
  segment.attachTime = shm.kernel.host.clock.realtime();
  return attachment;
}

/** shmdt(2): 0, or -EINVAL when the caller has no attachment that begins at `address` (S45). */
export function shmdt(shm: ShmSubsystem, process: ShmProcess, address: number): number {
  const attachment = process.map?.attachments.get(address);
  if (attachment === undefined) return -EINVAL;
  detach(shm, process, attachment);
  return 0;
}

/** Ends one attachment of `process`; relatives that share its map keep theirs (S46 to S48). */
export function detach(shm: ShmSubsystem, process: ShmProcess, attachment: Attachment): void {
  const { segment, address, sizeBytes } = attachment;
  assert(process.map?.attachments.get(address) === attachment, 'a process detaches what it has attached');
  privateMap(shm, process).attachments.delete(address);
  process.space.unmap(address, sizeBytes);
  segment.lastPid = process.credentials.pid;
  dropAttachment(shm, segment);
}

/** The page that an address asks for, a negative number when it asks for none. What rounds to 0 asks for page 0 (S43). */
function placeFor(address: number, flags: number): number {
  const excess = address % PAGE_SIZE_BYTES;
  if (address < 0 || excess === 0) return address;
  return (flags & SHM_RND) !== 0 ? address - excess : -1;
}

/** Maps, and wires if the segment is wired by then (SB22). The address, or a negative errno with nothing mapped. */
function* mapSegment(
  shm: ShmSubsystem,
  { space }: ShmProcess,
  segment: Segment,
  address: number | null,
  isReadOnly: boolean,
): Operation<number> {
  const { mappedBytes: sizeBytes } = segment;
  const mapped = yield* space.map({ backing: segment.backing!, sizeBytes, address, isWritable: !isReadOnly });
  if (mapped < 0) return mapped;
  if (shm.limits.usePhysical === 0 && !segment.isWired) return mapped;
  const error = space.wire(mapped, sizeBytes);
  if (error === 0) return mapped;
  space.unmap(mapped, sizeBytes);
  return error === -EFAULT ? -ENOMEM : error;
}
