import { assert } from './assert.ts';
import { EAGAIN, EDQUOT, EMFILE, ENOLCK, ENOMEM, ENOSPC } from './errno.ts';

/** What a user's account counts. The order is that of `resources`. */
export const Resource = {
  Names: 0,
  Pipes: 1,
  PipeBytes: 2,
  OpenFiles: 3,
  HeldBytes: 4,
  Kqueues: 5,
  Knotes: 6,
  Timers: 7,
  Segments: 8,
  SegmentBytes: 9,
  BlockedCalls: 10,
  Locks: 11,
  BlockedBytes: 12,
  Faults: 13,
  ForeignFiles: 14,
} as const;
export type Resource = (typeof Resource)[keyof typeof Resource];

/** The resources by number: their names in tables and tunables. */
export const resources = [
  'names',
  'pipes',
  'pipe_bytes',
  'open_files',
  'held_bytes',
  'kqueues',
  'knotes',
  'timers',
  'segments',
  'segment_bytes',
  'blocked_calls',
  'locks',
  'blocked_bytes',
  'faults',
  'foreign_files',
] as const satisfies readonly string[];

/** What a charge that the quota does not hold is refused with, by resource. */
const quotaRefusals: readonly number[] = [
  -EDQUOT,
  -EDQUOT,
  -ENOMEM,
  -EMFILE,
  -ENOMEM,
  -ENOMEM,
  -ENOMEM,
  -ENOMEM,
  -ENOSPC,
  -ENOMEM,
  -EAGAIN,
  -ENOLCK,
  -EAGAIN,
  -EDQUOT,
  -ENOMEM,
];

/**
 * About what one of each takes of the server's own memory, in bytes, by resource. 0: its memory is asked for where it is taken (rings
 * when their first byte comes, segments as their pages are used).
 */
const costsBytes: readonly number[] = [
  1024, 1024, 0, 1024, 1, 2048, 1024, 512, 2048, 0, 2048, 256, 0, 2048, 1024,
];

/**
 * What one user has of everything that is limited per user (struct uidinfo). Whatever is charged is released by the object that was
 * charged for, to the account that it was charged to: a change of owner moves nothing.
 */
export class Account {
  readonly uid: number;
  readonly #accounts: Accounts;
  readonly #used = new Float64Array(resources.length);
  /** Charges that were refused. */
  readonly #refused = new Float64Array(resources.length);

  constructor(accounts: Accounts, uid: number) {
    this.#accounts = accounts;
    this.uid = uid;
  }

  used(resource: Resource): number {
    return this.#used[resource]!;
  }

  refused(resource: Resource): number {
    return this.#refused[resource]!;
  }

  /** Whether `amount` more could be charged. */
  holds(resource: Resource, amount = 1): boolean {
    const used = this.#used[resource]! + amount;
    return used <= this.#accounts.limitOf(resource) || this.#accounts.isExempt(this.uid);
  }

  /**
   * Takes `amount` more: 0, or with nothing taken the negative errno of a user whose quota does not hold it, or -ENOMEM when the server has no
   * memory left for anybody.
   */
  charge(resource: Resource, amount = 1): number {
    let error = 0;
    if (!this.holds(resource, amount)) error = quotaRefusals[resource]!;
    else if (!this.#accounts.hasMemory(costsBytes[resource]! * amount)) error = -ENOMEM;
    if (error === 0) this.#used[resource]! += amount;
    else this.#refused[resource]!++;
    return error;
  }

  /** Gives back what `charge` has taken. */
  release(resource: Resource, amount = 1): void {
    const used = this.#used[resource]! - amount;
    assert(used >= 0, `no more ${resources[resource]} are released than were charged`);
    this.#used[resource] = used;
  }

  /** Makes a charge of `before` one of `after`: 0, or a negative errno of `charge` with `before` still charged. */
  recharge(resource: Resource, before: number, after: number): number {
    if (after > before) return this.charge(resource, after - before);
    this.release(resource, before - after);
    return 0;
  }
}

/**
 * The accounts of all users of a mount, and the quotas. There are no limits until somebody sets them; the superuser, and who serves the
 * mount with his own memory, never have any.
 */
export class Accounts {
  readonly #accounts = new Map<number, Account>();
  readonly #limits: (() => number)[] = resources.map(() => () => Infinity);
  readonly #limitListeners: (() => void)[] = [];
  readonly #exempt = new Set([0]);
  readonly #hasMemory: (sizeBytes: number) => boolean;

  /** `hasMemory`: whether the server itself has room for so much more, for any user. */
  constructor(hasMemory: (sizeBytes: number) => boolean = () => true) {
    this.#hasMemory = hasMemory;
  }

  hasMemory(sizeBytes: number): boolean {
    return sizeBytes === 0 || this.#hasMemory(sizeBytes);
  }

  /** The account of a user. It stays: an object that outlives its user's others is released to it. */
  of(uid: number): Account {
    let account = this.#accounts.get(uid);
    if (account === undefined) this.#accounts.set(uid, (account = new Account(this, uid)));
    return account;
  }

  /** Users that have ever had anything, in order of arrival. */
  all(): Iterable<Account> {
    return this.#accounts.values();
  }

  isExempt(uid: number): boolean {
    return this.#exempt.has(uid);
  }

  exempt(uid: number): void {
    this.#exempt.add(uid);
  }

  limitOf(resource: Resource): number {
    return this.#limits[resource]!();
  }

  /** `limit` is asked at each charge, so it may follow another tunable. What a user has beyond a lowered limit stays. */
  setLimit(resource: Resource, limit: () => number): void {
    this.#limits[resource] = limit;
    this.limitChanged(resource);
  }

  /** Calls `listener` after each change of the limit. */
  onLimitChange(resource: Resource, listener: () => void): void {
    this.#limitListeners[resource] = listener;
  }

  /** What the limit is made of has changed. */
  limitChanged(resource: Resource): void {
    this.#limitListeners[resource]?.();
  }
}
