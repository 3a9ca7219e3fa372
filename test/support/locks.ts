import {
  type LockCall,
  type LockOwner,
  LockRegistry,
  type LockRequest,
  LockTable,
  WHOLE_FILE,
} from '../../src/kern/advisory-locks.ts';
import { File } from '../../src/kern/file.ts';
import { anonymousPipeOps } from '../../src/pipe/anonymous.ts';
import { type Call, user, World } from './engine.ts';
import type { Ledger } from './ledger.ts';

/** Bytes from `start` to `end`, both included. */
export type Bytes = readonly [start: number, end: number];

/** Files with locks, and processes that lock them: each has one open file and one number. */
export class LockWorld extends World {
  readonly registry = new LockRegistry(this.kernel);
  readonly tables: LockTable[] = [];
  readonly #files: File[] = [];

  table(call: LockCall): LockTable {
    const table = new LockTable(this.registry, `file ${this.tables.length}`, call);
    this.tables.push(table);
    return table;
  }

  /** The open file of a process. */
  fileOf(process: number): File {
    return (this.#files[process] ??= new File(0, anonymousPipeOps, user));
  }

  request(table: LockTable, process: number, isExclusive: boolean, bytes?: Bytes): LockRequest {
    const file = this.fileOf(process);
    const owner: LockOwner = table.call === 'flock' ? file : BigInt(process);
    const range = bytes === undefined ? WHOLE_FILE : { start: bytes[0], end: bytes[1] };
    return { ...range, isExclusive, owner, file, pid: process, uid: user.uid };
  }

  /** A call that waits where it has to. */
  lock(table: LockTable, process: number, isExclusive: boolean, bytes?: Bytes): Call {
    return this.call(table.lock(this.request(table, process, isExclusive, bytes), true));
  }

  /** A call with LOCK_NB, or F_SETLK: its result. */
  tryLock(table: LockTable, process: number, isExclusive: boolean, bytes?: Bytes): number {
    return this.now(table.lock(this.request(table, process, isExclusive, bytes), false));
  }

  unlock(table: LockTable, process: number, [start, end]: Bytes = [0, Infinity]): number {
    const result = table.unlock(this.request(table, process, true).owner, start, end);
    this.kernel.scheduler.run();
    return result;
  }

  release(table: LockTable, process: number): void {
    table.release(this.fileOf(process));
    this.kernel.scheduler.run();
  }

  /** What a process holds, as `s0-9 x20-inf`. */
  held(table: LockTable, process: number): string {
    const holder = table.holders.get(this.request(table, process, true).owner);
    const words = (holder?.ranges ?? []).map(
      ({ start, end, isExclusive }) => `${isExclusive ? 'x' : 's'}${start}-${end === Infinity ? 'inf' : end}`,
    );
    return words.join(' ');
  }

  override checkInvariants(): void {
    super.checkInvariants();
    for (const table of this.tables) table.checkInvariants();
  }

  protected override addTo(ledger: Ledger): void {
    super.addTo(ledger);
    ledger.addLocks(this.registry);
  }
}
