import { assert } from '../../kern/assert.ts';
import type { Account } from '../../kern/accounting.ts';
import type { Credentials } from '../../kern/credentials.ts';
import type { Kernel } from '../../kern/kernel.ts';
import type { WaitChannel } from '../../kern/operation.ts';
import { PollQueue } from '../../kern/poll.ts';
import type { FaultSpec } from './parse-fault.ts';
import { isDue, MOST_CALLS, scheduleWords } from './schedule.ts';

/** A fault that somebody has added. */
export class Fault {
  readonly id: number;
  readonly spec: FaultSpec;
  /** With whose rights it signals. */
  readonly credentials: Credentials;
  /** Who added it, and is charged for it. */
  readonly account: Account;
  /** Calls that it delays or stalls sleep here. */
  readonly channel: WaitChannel;
  /** Pollers that it has answered for: they look again when it is removed. */
  readonly pollQueue = new PollQueue();
  /** Calls that matched, and those of them that it hit. */
  calls = 0;
  hits = 0;
  /** Calls that sleep for it now. */
  blockedCalls = 0;
  isRemoved = false;

  constructor(id: number, spec: FaultSpec, credentials: Credentials, account: Account, kernel: Kernel) {
    this.id = id;
    this.spec = spec;
    this.credentials = credentials;
    this.account = account;
    this.channel = kernel.channel(this);
  }

  get uid(): number {
    return this.account.uid;
  }

  /** It hits no call any more. It stays listed until it is removed. */
  get isSpent(): boolean {
    return this.hits >= this.spec.count;
  }

  /** A call matches: whether it is hit. */
  takeCall(): boolean {
    if (this.calls < MOST_CALLS) this.calls++;
    if (!isDue(this.spec.schedule, this.calls)) return false;
    this.hits++;
    return true;
  }

  /** The last hit could not be carried out. */
  takeBackHit(): void {
    assert(this.hits > 0, 'a hit is taken back once');
    this.hits--;
  }

  /** What ends the wait of a call that sleeps for it. */
  get waitEnd(): string {
    const { kind } = this.spec.action;
    return kind === 'delay' ? `the delay of fault ${this.id} is over` : `fault ${this.id} is removed`;
  }

  /** The words that add it again. */
  get words(): string[] {
    const { pattern, call, action, schedule, pid, count } = this.spec;
    const words = [pattern.text, call, action.text, ...scheduleWords(schedule)];
    if (pid !== 0) words.push(`pid=${pid}`);
    if (count !== Infinity && schedule.kind !== 'when') words.push(`count=${count}`);
    return words;
  }
}
