import { type Account, Resource } from '../kern/accounting.ts';
import { timestampsAt } from '../kern/clock.ts';
import type { Credentials } from '../kern/credentials.ts';
import { ENOMEM } from '../kern/errno.ts';
import { PIPE_SIZE_BYTES, SMALL_PIPE_SIZE_BYTES } from './budget.ts';
import { PipeEnd } from './end.ts';
import type { Fifo } from './fifo.ts';
import type { PipeSubsystem } from './subsystem.ts';

/**
 * Two pipe ends (struct pipepair). An anonymous pair is bidirectional: what is written to one end is read from the other.
 * A named pipe uses only its first end, in both roles (P1, P2).
 */
export class PipePair {
  readonly subsystem: PipeSubsystem;
  /** The named pipe that this pair serves; null for an anonymous one. */
  readonly fifo: Fifo | null;
  readonly credentials: Credentials;
  /** The first opener's; with options the maker's of the name. Its quota holds the rings. */
  account: Account;
  /** The forward end, and the reverse one. */
  readonly ends: readonly [PipeEnd, PipeEnd];

  private constructor(
    subsystem: PipeSubsystem,
    credentials: Credentials,
    fifo: Fifo | null,
    account: Account | null,
  ) {
    this.subsystem = subsystem;
    this.credentials = credentials;
    this.account = account ?? subsystem.kernel.accounts.of(credentials.uid);
    this.fifo = fifo;
    const now = subsystem.kernel.host.clock.realtime();
    this.ends = [
      new PipeEnd(this, fifo?.times ?? timestampsAt(now)),
      new PipeEnd(this, fifo?.times ?? timestampsAt(now)),
    ];
  }

  /** Moves the charge for the rings: 0, or with nothing moved -ENOMEM. */
  chargeTo(account: Account): number {
    if (account === this.account) return 0;
    let sizeBytes = 0;
    for (const { ring } of this.ends) sizeBytes += ring.size;
    if (account.charge(Resource.PipeBytes, sizeBytes) !== 0) return -ENOMEM;
    this.account.release(Resource.PipeBytes, sizeBytes);
    this.account = account;
    for (const { ring } of this.ends) ring.account = account;
    return 0;
  }

  get isNamed(): boolean {
    return this.fifo !== null;
  }

  /**
   * Makes a pair with its rings booked: 16 KiB forward (4 KiB above half of the budget), 4 KiB reverse. Null when the budget
   * does not hold them; then nothing is kept but, if only the second failed, a used inode number (P3 to P8; pipe_paircreate).
   */
  static create(
    subsystem: PipeSubsystem,
    credentials: Credentials,
    fifo: Fifo | null = null,
    account: Account | null = null,
  ): PipePair | null {
    const pair = new PipePair(subsystem, credentials, fifo, account);
    const [forward, reverse] = pair.ends;
    const forwardBytes = subsystem.budget.growthAllowed ? PIPE_SIZE_BYTES : SMALL_PIPE_SIZE_BYTES;
    if (forward.ring.resize(forwardBytes) !== 0) return null;
    forward.inode = subsystem.nextInode();
    if (reverse.ring.resize(SMALL_PIPE_SIZE_BYTES) !== 0) {
      forward.ring.free();
      return null;
    }
    reverse.inode = subsystem.nextInode();
    subsystem.pairs.add(pair);
    subsystem.policy?.created?.(pair);
    return pair;
  }
}
