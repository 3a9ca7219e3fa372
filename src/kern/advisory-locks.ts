import { type Account, type Accounts, Resource } from './accounting.ts';
import { assert } from './assert.ts';
import { EAGAIN, EDEADLK, EINTR } from './errno.ts';
import type { File } from './file.ts';
import type { Kernel } from './kernel.ts';
import { changeRanges, firstEndingAt, type LockRange, overlaps } from './lock-ranges.ts';
import { type Operation, sleep, type WaitChannel, WakeReason } from './operation.ts';

/** The call that sets a lock: flock(2) locks whole files for an open file, fcntl(2) ranges of bytes for a process. */
export type LockCall = 'flock' | 'fcntl';

/** Who owns a lock: the open file for flock(2), for fcntl(2) the number by which the host knows the process or the open file. */
export type LockOwner = File | bigint;

/** The whole file, for flock(2). */
export const WHOLE_FILE = { start: 0, end: Infinity } as const;

export interface LockRequest extends LockRange {
  readonly owner: LockOwner;
  /** The open file through which the lock is set. */
  readonly file: File;
  /** The process that asks, as F_GETLK shows it. */
  readonly pid: number;
  /** Whose quota a new owner's locks are charged to. */
  readonly uid: number;
}

const lockSleep = { message: 'lockf', interruptible: true };

/** Owners that a search for a deadlock looks at: what is further away is not found. */
const SEARCH_LIMIT = 4096;

/** What one owner has locked of one file. */
export class LockHolder {
  readonly owner: LockOwner;
  readonly account: Account;
  pid = 0;
  /** The open file through which it locked last. */
  file: File;
  ranges: readonly LockRange[] = [];
  /** Requests that wait for this holder to let go, in order of arrival. */
  readonly blocked = new Set<LockWaiter>();

  constructor(request: LockRequest, account: Account) {
    this.owner = request.owner;
    this.account = account;
    this.file = request.file;
  }
}

/** A request that waits. */
export class LockWaiter {
  readonly request: LockRequest;
  readonly table: LockTable;
  readonly channel: WaitChannel;
  /** One of those that are in the way; null while the table decides, and once it has. */
  blocker: LockHolder | null = null;
  /** Set when the request has been carried out: 0 or a negative errno. */
  result: number | null = null;

  constructor(request: LockRequest, table: LockTable, kernel: Kernel) {
    this.request = request;
    this.table = table;
    this.channel = kernel.channel(this);
  }
}

/** The locks of all files of a mount. */
export class LockRegistry {
  readonly kernel: Kernel;
  readonly accounts: Accounts;
  /** The tables that hold something. */
  readonly tables = new Set<LockTable>();
  /** Requests of fcntl(2) that wait, by owner: the edges along which deadlocks are found. */
  readonly waiters = new Map<LockOwner, Set<LockWaiter>>();

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.accounts = kernel.accounts;
  }

  /**
   * Whether `request` would wait for its own owner: someone in its way waits for someone, and so on, who waits for that owner. Owners of
   * flock(2) are left out: another process may have the open file as well, and unlock it.
   */
  isDeadlock(table: LockTable, request: LockRequest): boolean {
    const seen = new Set<LockOwner>();
    const pending: { table: LockTable; request: LockRequest }[] = [{ table, request }];
    let budget = SEARCH_LIMIT;
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const own = next.table.holders.get(next.request.owner);
      for (const holder of next.table.holders.values()) {
        if (--budget < 0) return false;
        if (holder === own || rangeInTheWay(holder, next.request) === null) continue;
        if (holder.owner === request.owner) return true;
        if (seen.has(holder.owner)) continue;
        seen.add(holder.owner);
        pending.push(...(this.waiters.get(holder.owner) ?? []));
      }
    }
    return false;
  }

  waits(waiter: LockWaiter): void {
    const { owner } = waiter.request;
    const others = this.waiters.get(owner);
    if (others === undefined) this.waiters.set(owner, new Set([waiter]));
    else others.add(waiter);
  }

  waitsNoLonger(waiter: LockWaiter): void {
    const { owner } = waiter.request;
    const others = this.waiters.get(owner);
    others?.delete(waiter);
    if (others?.size === 0) this.waiters.delete(owner);
  }
}

/** The first of another owner's ranges that is in the way of a request, or null. */
function rangeInTheWay({ ranges }: LockHolder, request: LockRange): LockRange | null {
  for (let index = firstEndingAt(ranges, request.start); index < ranges.length; index++) {
    const range = ranges[index]!;
    if (range.start > request.end) return null;
    if (range.isExclusive || request.isExclusive) return range;
  }
  return null;
}

/**
 * The advisory locks of one file, of one kind. Exclusive ranges of one owner overlap no range of another; shared ones may overlap. A request
 * that is in nobody's way is granted at once, also when others wait; those that wait are granted in order of arrival, by the call that lets go.
 */
export class LockTable {
  readonly #registry: LockRegistry;
  /** The file, for tables of locks and of blocked calls. */
  readonly object: unknown;
  readonly call: LockCall;
  readonly holders = new Map<LockOwner, LockHolder>();
  /** Exclusive ranges of all holders: with none, a shared lock is granted without a look at them. */
  #exclusiveRanges = 0;
  /** Waiters that have lost their blocker, as long as they are decided on. */
  readonly #undecided: LockWaiter[] = [];
  #isDeciding = false;

  constructor(registry: LockRegistry, object: unknown, call: LockCall) {
    this.#registry = registry;
    this.object = object;
    this.call = call;
  }

  /** A holder in the way of a request and the range of it that is, or null (F_GETLK). */
  conflictOf(request: LockRequest): { readonly holder: LockHolder; readonly range: LockRange } | null {
    if (!request.isExclusive && this.#exclusiveRanges === 0) return null;
    const own = this.holders.get(request.owner);
    for (const holder of this.holders.values()) {
      const range = holder === own ? null : rangeInTheWay(holder, request);
      if (range !== null) return { holder, range };
    }
    return null;
  }

  /**
   * Locks the range for the owner, in place of what it has there. 0, -EAGAIN where it would have to wait and does not, -EINTR, -EDEADLK
   * for fcntl(2), or -ENOLCK beyond the quota. A conversion by flock(2) that does not succeed at once gives up the lock it had, as Linux
   * does: two owners of a shared lock who both want it exclusive would wait for each other.
   */
  *lock(request: LockRequest, waits: boolean): Operation<number> {
    const conflict = this.conflictOf(request);
    if (conflict === null) return this.#grant(request);
    if (this.call === 'flock') this.unlock(request.owner);
    if (!waits) return -EAGAIN;
    if (this.call === 'fcntl' && this.#registry.isDeadlock(this, request)) return -EDEADLK;
    const waiter = new LockWaiter(request, this, this.#registry.kernel);
    this.#block(waiter, conflict.holder);
    if (this.call === 'fcntl') this.#registry.waits(waiter);
    const reason = yield* sleep(waiter.channel, lockSleep);
    if (this.call === 'fcntl') this.#registry.waitsNoLonger(waiter);
    // Granted and interrupted in one turn: the lock is there, and so is the answer.
    if (waiter.result !== null) return waiter.result;
    assert(reason === WakeReason.Interrupted, 'a request that waits is granted or interrupted');
    waiter.blocker!.blocked.delete(waiter);
    return -EINTR;
  }

  /** Unlocks a range of the owner's, by default all. 0, or -ENOLCK when a range would be split and the quota does not hold its parts. */
  unlock(owner: LockOwner, start = 0, end = Infinity): number {
    const holder = this.holders.get(owner);
    if (holder === undefined) return 0;
    return this.#change(holder, { start, end, isExclusive: false }, false);
  }

  /** The open file is gone: so are its lock of flock(2), and those of fcntl(2) that only it can own by then. */
  release(file: File): void {
    if (this.call === 'flock') this.unlock(file);
    else for (const holder of this.holders.values()) if (holder.file === file) this.unlock(holder.owner);
  }

  #grant(request: LockRequest): number {
    let holder = this.holders.get(request.owner);
    if (holder === undefined) {
      holder = new LockHolder(request, this.#registry.accounts.of(request.uid));
      // Only with something locked does a holder count.
      const error = this.#change(holder, request, true);
      if (error < 0) return error;
      this.holders.set(request.owner, holder);
      this.#registry.tables.add(this);
    } else {
      const error = this.#change(holder, request, true);
      if (error < 0) return error;
    }
    holder.pid = request.pid;
    holder.file = request.file;
    return 0;
  }

  #change(holder: LockHolder, wanted: LockRange, isLocked: boolean): number {
    const before = holder.ranges;
    const after = changeRanges(before, wanted, isLocked);
    const error = holder.account.recharge(Resource.Locks, before.length, after.length);
    if (error !== 0) return error;
    holder.ranges = after;
    this.#exclusiveRanges += countExclusive(after) - countExclusive(before);
    if (after.length === 0) {
      this.holders.delete(holder.owner);
      if (this.holders.size === 0) this.#registry.tables.delete(this);
    }
    this.#decide(holder, wanted);
    return 0;
  }

  #block(waiter: LockWaiter, blocker: LockHolder): void {
    waiter.blocker = blocker;
    blocker.blocked.add(waiter);
  }

  /**
   * Grants what `holder`, who has changed the range, is no longer in the way of. A grant may convert and so let others go on: a list, and
   * no recursion.
   */
  #decide(holder: LockHolder, changed: LockRange): void {
    for (const waiter of holder.blocked) {
      if (!overlaps(waiter.request, changed)) continue;
      holder.blocked.delete(waiter);
      this.#undecided.push(waiter);
    }
    if (this.#isDeciding) return;
    this.#isDeciding = true;
    for (const waiter of this.#undecided) {
      const conflict = this.conflictOf(waiter.request);
      if (conflict !== null) {
        this.#block(waiter, conflict.holder);
        continue;
      }
      waiter.blocker = null;
      waiter.result = this.#grant(waiter.request);
      waiter.channel.wakeup();
    }
    this.#undecided.length = 0;
    this.#isDeciding = false;
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    const holders = [...this.holders.values()];
    let exclusiveRanges = 0;
    for (const holder of holders) {
      assert(holder.ranges.length > 0, 'a holder has a range');
      holder.ranges.forEach((range, index) => {
        const next = holder.ranges[index + 1];
        assert(range.start <= range.end, 'a range has bytes');
        assert(next === undefined || range.end < next.start, 'ranges of an owner are in order');
        assert(
          next === undefined || range.end + 1 < next.start || range.isExclusive !== next.isExclusive,
          'neighbours of one type are one range',
        );
        for (const other of holders) {
          const isFree = other === holder || rangeInTheWay(other, range) === null;
          assert(isFree, 'what one has locked exclusively no other has');
        }
      });
      exclusiveRanges += countExclusive(holder.ranges);
      for (const waiter of holder.blocked) {
        assert(waiter.blocker === holder && waiter.table === this, 'a waiter knows whom it waits for');
        assert(waiter.result === null, 'a waiter has no answer yet');
        assert(rangeInTheWay(holder, waiter.request) !== null, 'who waits for somebody is in his way');
        assert(waiter.channel.firstSleeper !== null, 'a waiter sleeps');
      }
    }
    assert(exclusiveRanges === this.#exclusiveRanges, 'exclusive ranges are counted');
    assert(this.#registry.tables.has(this) === holders.length > 0, 'tables that hold something are known');
  }
}

function countExclusive(ranges: readonly LockRange[]): number {
  let count = 0;
  for (const range of ranges) if (range.isExclusive) count++;
  return count;
}
