import { assert } from '../kern/assert.ts';
import type { Credentials } from '../kern/credentials.ts';
import type { AddressSpace } from './address-space.ts';
import { dropAttachment } from './lifetime.ts';
import type { Segment } from './segment.ts';
import type { ShmSubsystem } from './subsystem.ts';

/** A segment in an address space (struct shmmap_entry). Immutable, so that maps that were one share it. */
export interface Attachment {
  readonly segment: Segment;
  readonly address: number;
  /** Whole pages. */
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
}

/**
 * The attachments of an address space (struct shmmap_state). Processes share one after fork, until one of them attaches or
 * detaches: each of its attachments counts once for every process.
 */
export class AttachmentMap {
  /** Processes that use the map. */
  references = 1;
  /** By address, in the order in which they were made. */
  readonly attachments = new Map<number, Attachment>();
}

/**
 * A process, as shared memory sees it. Anything that attaches can be one: the mount may take one for a process of the host, or
 * one for each open file description (decision D14).
 */
export class ShmProcess {
  /** Effective ids, and the pid that segments record. */
  credentials: Credentials;
  readonly space: AddressSpace;
  /** Null until the first attach. */
  map: AttachmentMap | null = null;
  /** Attaches whose mapping is being made: they count for shmseg, and no detach can find them (SB10). */
  attachesUnderWay = 0;

  constructor(credentials: Credentials, space: AddressSpace) {
    this.credentials = credentials;
    this.space = space;
  }

  /** What shmseg limits. */
  get attachmentCount(): number {
    return (this.map?.attachments.size ?? 0) + this.attachesUnderWay;
  }

  /** In the order in which they were made. */
  attachments(): Iterable<Attachment> {
    return this.map?.attachments.values() ?? [];
  }
}

/** The process's map for changing it: its own, a copy of one that it shared, or a new one (shmmap_getprivate; S48, S49). */
export function privateMap(shm: ShmSubsystem, process: ShmProcess): AttachmentMap {
  const shared = process.map;
  if (shared?.references === 1) return shared;
  const map = new AttachmentMap();
  if (shared !== null) {
    for (const attachment of shared.attachments.values()) map.attachments.set(attachment.address, attachment);
    shared.references--;
  }
  shm.maps.add(map);
  process.map = map;
  return map;
}

/** fork(2): `child`, which has no attachments yet, shares those of `parent`. No time or pid changes (shmfork; S63). */
export function shmfork(parent: ShmProcess, child: ShmProcess): void {
  assert(child.map === null, 'a child starts without attachments');
  const { map } = parent;
  if (map === null) return;
  for (const { segment } of map.attachments.values()) segment.attachCount++;
  map.references++;
  child.map = map;
}

/**
 * The end of an address space, by exit(2) or exec(2): every attachment of the process goes, with the detach time set whether or
 * not others share the map (S64, S65, SB16). The last pid stays: only a call of shmdt is a call (shmexit). The process may attach
 * again, as it does after exec.
 */
export function shmexit(shm: ShmSubsystem, process: ShmProcess): void {
  assert(process.attachesUnderWay === 0, 'a process ends after its calls');
  const { map } = process;
  if (map === null) return;
  process.map = null;
  map.references--;
  if (map.references === 0) shm.maps.delete(map);
  for (const { segment, address, sizeBytes } of map.attachments.values()) {
    process.space.unmap(address, sizeBytes);
    dropAttachment(shm, segment);
  }
}
