import type { File } from '../../kern/file.ts';
import type { Host } from '../../kern/host.ts';

/** Belongs to the open file, and to none of its processes. */
const ORPHAN = 0;
const UNKNOWN = -1;

/** A record that a reader has begun. */
export interface Lease {
  readonly file: File;
  /** The thread that has begun it; 0 where callers are not known, -1 for an orphan. */
  thread: number;
  /** Its process, when that has been looked up. */
  process: number;
  /** The whole record; null for one that goes through the ring in pieces. */
  readonly bytes: Uint8Array | null;
  /** Offset of its first byte in the pipe's stream. */
  readonly offset: number;
  /** Bytes that have been read. */
  position: number;
  /** Position among all records that were begun. */
  readonly sequence: number;
}

/** The leases of one queue, by open file: one for each process that reads through it. */
export class LeaseTable {
  readonly #host: Host;
  readonly #leases = new Map<File, Lease[]>();

  constructor(host: Host) {
    this.#host = host;
  }

  has(file: File): boolean {
    return this.#leases.has(file);
  }

  /** The lease that a thread goes on with: that of its process, or one that a process has left to the file. */
  find(file: File, thread: number): Lease | null {
    const leases = this.#leases.get(file);
    if (leases === undefined) return null;
    const own = leases.find((lease) => lease.thread === thread);
    if (own !== undefined) return own;
    // Shells read byte by byte, and looking a process up takes longer than a read: only another thread's lease needs it.
    const process = this.#host.processOf(thread);
    for (const lease of leases) {
      if (lease.process === UNKNOWN) lease.process = this.#host.processOf(lease.thread);
      if (lease.process === process) return lease;
    }
    return leases.find((lease) => lease.process === ORPHAN) ?? null;
  }

  add(lease: Lease): void {
    const leases = this.#leases.get(lease.file);
    if (leases === undefined) this.#leases.set(lease.file, [lease]);
    else leases.push(lease);
  }

  remove(lease: Lease): void {
    const leases = this.#leases.get(lease.file);
    const at = leases?.indexOf(lease) ?? -1;
    if (at < 0) return;
    leases!.splice(at, 1);
    if (leases!.length === 0) this.#leases.delete(lease.file);
  }

  /** The process has ended by itself in the middle of a record: the next reader of the file goes on. */
  orphan(lease: Lease): void {
    lease.thread = UNKNOWN;
    lease.process = ORPHAN;
  }

  /** Bytes of records that were begun through the file and are not read; 0 for those that come in pieces. */
  restBytes(file: File): number {
    for (const { bytes, position } of this.#leases.get(file) ?? []) {
      if (bytes !== null && position < bytes.length) return bytes.length - position;
    }
    return 0;
  }

  ofFile(file: File): readonly Lease[] {
    return [...(this.#leases.get(file) ?? [])];
  }

  all(): readonly Lease[] {
    return [...this.#leases.values()].flat();
  }
}
