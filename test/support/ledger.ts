import { type Account, type Accounts, Resource, resources } from '../../src/kern/accounting.ts';
import type { LockRegistry } from '../../src/kern/advisory-locks.ts';
import { assert } from '../../src/kern/assert.ts';
import type { File } from '../../src/kern/file.ts';
import { EVFILT_TIMER } from '../../src/kern/klist.ts';
import type { Thread } from '../../src/kern/scheduler.ts';
import type { WriteUio } from '../../src/kern/uio.ts';
import { KqueueHandle } from '../../src/kqueue/handle.ts';
import type { KqueueSubsystem } from '../../src/kqueue/subsystem.ts';
import type { PipeSubsystem } from '../../src/pipe/subsystem.ts';
import type { ShmSubsystem } from '../../src/shm/subsystem.ts';
import type { FaultTable } from '../../src/tree/faults/fault-table.ts';

/**
 * What every user is to be charged for, added up by a walk over all objects. Whatever was charged or reserved and not given back when
 * a later step failed is a difference to what the accounts say.
 */
export class Ledger {
  readonly #charges = new Map<Account, Float64Array>();

  add(account: Account, resource: Resource, amount = 1): void {
    let charges = this.#charges.get(account);
    if (charges === undefined) this.#charges.set(account, (charges = new Float64Array(resources.length)));
    charges[resource]! += amount;
  }

  addPipes({ pairs }: PipeSubsystem): void {
    for (const { account, ends } of pairs) {
      for (const { ring, discipline } of ends) {
        this.add(account, Resource.PipeBytes, ring.size);
        this.add(account, Resource.HeldBytes, discipline?.heldBytes ?? 0);
      }
    }
  }

  addKqueues({ kqueues }: KqueueSubsystem): void {
    for (const kqueue of kqueues) {
      this.add(kqueue.account, Resource.Kqueues);
      for (const { account, filter, textBytes } of kqueue.knotes()) {
        this.add(account, Resource.Knotes);
        this.add(account, Resource.HeldBytes, textBytes);
        if (filter === EVFILT_TIMER) this.add(account, Resource.Timers);
      }
    }
  }

  addSegments({ table }: ShmSubsystem): void {
    for (const { account, bookedBytes } of table.segments()) {
      this.add(account, Resource.Segments);
      this.add(account, Resource.SegmentBytes, bookedBytes);
    }
  }

  /** Open files, those that are counted and those of tests that only hold bytes. */
  addFiles(files: Iterable<File>, { areCounted = true } = {}): void {
    for (const { account, heldBytes } of files) {
      if (account === null) continue;
      if (areCounted) this.add(account, Resource.OpenFiles);
      this.add(account, Resource.HeldBytes, heldBytes);
    }
  }

  addLocks({ tables }: LockRegistry): void {
    for (const { holders } of tables) {
      for (const { account, ranges } of holders.values()) this.add(account, Resource.Locks, ranges.length);
    }
  }

  addFaults(faults: FaultTable): void {
    for (const { account } of faults.all()) this.add(account, Resource.Faults);
  }

  addThreads(threads: Iterable<Thread>): void {
    for (const { account } of threads) if (account !== null) this.add(account, Resource.BlockedCalls);
  }

  /** Writes whose bytes are with their writers: of requests that are not answered. */
  addHeldBack(
    accounts: Accounts,
    threads: Iterable<Thread & { readonly source?: WriteUio | null; readonly isCharged?: boolean }>,
  ): void {
    for (const { uid, source, isCharged } of threads) {
      if (source?.isHeldBack === true || (source && isCharged === true))
        this.add(accounts.of(uid), Resource.BlockedBytes, source.length);
    }
  }

  /** Compares with what the accounts say, user by user, but for resources that tests charge themselves. */
  check(accounts: Accounts, without: readonly Resource[] = []): void {
    for (const account of accounts.all()) {
      const charges = this.#charges.get(account);
      for (const [resource, name] of resources.entries()) {
        const expected = charges?.[resource] ?? 0;
        const used = account.used(resource as Resource);
        assert(
          used === expected || without.includes(resource as Resource),
          `user ${account.uid} is charged for ${used} ${name} and has ${expected}`,
        );
      }
    }
  }
}

/** What each open kqueue keeps for its opener. `isBusy`: whether a call on the file sleeps. */
export function checkHandles<F extends File>(files: Iterable<F>, isBusy: (file: F) => boolean): void {
  for (const file of files) {
    if (file.data instanceof KqueueHandle) file.data.checkInvariants(isBusy(file));
  }
}
