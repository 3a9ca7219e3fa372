import type { Credentials } from '../../src/kern/credentials.ts';
import {
  EACCES,
  EBUSY,
  EEXIST,
  EINVAL,
  EMFILE,
  ENOENT,
  ENOMEM,
  ENOSPC,
  EPERM,
} from '../../src/kern/errno.ts';

const PAGE = 4096;

export interface ModelSegment {
  id: number;
  key: number;
  size: number;
  mode: number;
  uid: number;
  gid: number;
  readonly cuid: number;
  readonly cgid: number;
  readonly cpid: number;
  readonly lingers: boolean;
  lpid: number;
  removed: boolean;
  atime: number;
  dtime: number;
  ctime: number;
}

interface ModelAttachment {
  readonly address: number;
  readonly segment: ModelSegment;
}

export interface ModelProcess {
  readonly credentials: Credentials;
  /** Every process has a list of its own: sharing one after fork must not show. */
  attachments: ModelAttachment[];
}

/**
 * Shared memory told as simply as can be: an array of slots that is searched from its beginning, and a list of attachments for
 * every process. Nothing of it is shared with the engine.
 */
export class ShmModel {
  slots: (ModelSegment | null)[] = new Array<ModelSegment | null>(128).fill(null);
  readonly processes = new Set<ModelProcess>();
  readonly #sequences = new Map<number, number>();
  #hint: number | null = 0;
  pageLimit: number;
  attachLimit = 128;

  constructor(pageLimit: number) {
    this.pageLimit = pageLimit;
  }

  get used(): number {
    return this.slots.filter((segment) => segment !== null).length;
  }

  get committed(): number {
    return this.slots.reduce(
      (sum, segment) => sum + (segment === null ? 0 : Math.ceil(segment.size / PAGE)),
      0,
    );
  }

  attachCount(segment: ModelSegment): number {
    let count = 0;
    for (const { attachments } of this.processes) {
      count += attachments.filter((attachment) => attachment.segment === segment).length;
    }
    return count;
  }

  find(id: number): ModelSegment | null {
    return this.slots.find((segment) => segment?.id === id && (!segment.removed || segment.lingers)) ?? null;
  }

  get(
    caller: Credentials,
    { key, size, flags, lingers }: { key: number; size: number; flags: number; lingers: boolean },
    now: number,
  ): number {
    const create = (flags & 0o1000) !== 0;
    if (key !== 0) {
      const found = this.slots.find((segment) => segment?.key === key) ?? null;
      if (found !== null) {
        if (create && (flags & 0o2000) !== 0) return -EEXIST;
        if (!this.#allows(caller, found, flags & 0o600)) return -EACCES;
        return size > found.size ? -EINVAL : found.id;
      }
      if (!create) return -ENOENT;
    }
    if (size < 1 || size > this.pageLimit * PAGE) return -EINVAL;
    if (this.used >= this.slots.length) return -ENOSPC;
    if (this.committed + Math.ceil(size / PAGE) > this.pageLimit) return -ENOMEM;
    const slot = this.#hint ?? this.slots.indexOf(null);
    this.#hint = null;
    const sequence = ((this.#sequences.get(slot) ?? 0) + 1) % 32768;
    this.#sequences.set(slot, sequence);
    const id = sequence * 65536 + slot;
    const { uid, gid, pid } = caller;
    this.slots[slot] = {
      id,
      key,
      size,
      mode: flags & 0o777,
      uid,
      gid,
      cuid: uid,
      cgid: gid,
      cpid: pid,
      lingers,
      lpid: 0,
      removed: false,
      atime: 0,
      dtime: 0,
      ctime: now,
    };
    return id;
  }

  /** What an attach comes to: null for success, which `attached` completes. */
  attachError(process: ModelProcess, id: number, isReadOnly: boolean): number | null {
    const segment = this.find(id);
    if (segment === null) return -EINVAL;
    if (!this.#allows(process.credentials, segment, isReadOnly ? 0o400 : 0o600)) return -EACCES;
    return process.attachments.length >= this.attachLimit ? -EMFILE : null;
  }

  attached(process: ModelProcess, id: number, address: number, now: number): void {
    const segment = this.find(id)!;
    process.attachments.push({ address, segment });
    segment.lpid = process.credentials.pid;
    segment.atime = now;
  }

  detach(process: ModelProcess, address: number, now: number): number {
    const attachment = process.attachments.find((candidate) => candidate.address === address);
    if (attachment === undefined) return -EINVAL;
    attachment.segment.lpid = process.credentials.pid;
    this.#drop(process, attachment, now);
    return 0;
  }

  remove(caller: Credentials, id: number): number {
    const segment = this.find(id);
    if (segment === null) return -EINVAL;
    if (!this.#controls(caller, segment)) return -EPERM;
    segment.removed = true;
    segment.key = 0;
    this.#endIfUnused(segment);
    return 0;
  }

  set(
    caller: Credentials,
    id: number,
    owner: { uid: number; gid: number; mode: number },
    now: number,
  ): number {
    const segment = this.find(id);
    if (segment === null) return -EINVAL;
    if (!this.#controls(caller, segment)) return -EPERM;
    Object.assign(segment, { uid: owner.uid, gid: owner.gid, mode: owner.mode % 512, ctime: now });
    return 0;
  }

  fork(parent: ModelProcess, credentials: Credentials): ModelProcess {
    const child = { credentials, attachments: [...parent.attachments] };
    this.processes.add(child);
    return child;
  }

  exit(process: ModelProcess, now: number): void {
    for (const attachment of [...process.attachments]) this.#drop(process, attachment, now);
  }

  resize(count: number): number {
    if (count < 1 || count > 65536) return -EINVAL;
    if (this.slots.some((segment, slot) => segment !== null && slot >= count)) return -EBUSY;
    while (this.slots.length < count) this.slots.push(null);
    this.slots = this.slots.slice(0, count);
    if (this.#hint !== null && this.#hint >= count) this.#hint = null;
    return 0;
  }

  #drop(process: ModelProcess, attachment: ModelAttachment, now: number): void {
    process.attachments = process.attachments.filter((other) => other !== attachment);
    attachment.segment.dtime = now;
    this.#endIfUnused(attachment.segment);
  }

  #endIfUnused(segment: ModelSegment): void {
    if (!segment.removed || this.attachCount(segment) > 0) return;
    this.#hint = segment.id % 65536;
    this.slots[this.#hint] = null;
  }

  #controls({ uid }: Credentials, segment: ModelSegment): boolean {
    return [0, segment.uid, segment.cuid].includes(uid);
  }

  #allows(caller: Credentials, segment: ModelSegment, wanted: number): boolean {
    if (this.#controls(caller, segment)) return caller.uid === 0 || (segment.mode & wanted) === wanted;
    const groups = [caller.gid, ...(caller.groups ?? [])];
    const isMember = groups.includes(segment.gid) || groups.includes(segment.cgid);
    const bits = isMember ? (segment.mode % 64) - (segment.mode % 8) : (segment.mode % 8) * 8;
    return ((bits * 8) & wanted) === wanted;
  }
}
