import type { Credentials } from '../kern/credentials.ts';
import { EVFILT_TIMER, EVFILT_USER } from '../kern/klist.ts';
import { formatIdent, formatUdata } from '../kqueue/text.ts';
import { formatFflags, formatFlags, filterName } from '../kqueue/words.ts';
import type { Kqueue } from '../kqueue/kqueue.ts';
import type { KqueueSubsystem } from '../kqueue/system.ts';
import type { KqueuesDirectory } from './kqueues.ts';
import { NO_ROW, type Table } from './table.ts';

/** The path of a queue in kqueues/, or `-` for one that only open files have. */
function nameOf(directory: KqueuesDirectory, kqueue: Kqueue): string {
  const node = directory.nodeOf(kqueue);
  return node === undefined || node.names.length === 0 ? '-' : node.path;
}

/** info/kqueues: every queue, what is registered and what is pending. */
export function kqueuesTable(subsystem: KqueueSubsystem, directory: KqueuesDirectory): Table {
  return {
    name: 'kqueues',
    columns: ['id', 'name', 'pid', 'knotes', 'pending', 'blocked-readers'],
    *rows() {
      for (const kqueue of subsystem.kqueues) {
        for (const _ of kqueue.droppingOrphans()) yield NO_ROW;
        if (kqueue.isTerminated) continue;
        let sleepers = 0;
        for (let thread = kqueue.channel.firstSleeper; thread !== null; thread = thread.nextSleeper)
          sleepers++;
        yield [
          kqueue.id,
          nameOf(directory, kqueue),
          kqueue.ownerPid,
          kqueue.knoteCount,
          kqueue.count,
          sleepers,
        ];
      }
    },
  };
}

/** Whether somebody may see the bytes that a queue keeps for those who use it: its owner, as for pipes, and root. */
function maySeeTokens({ uid }: Credentials, directory: KqueuesDirectory, kqueue: Kqueue): boolean {
  return uid === 0 || uid === (directory.nodeOf(kqueue)?.uid ?? kqueue.account.uid);
}

/**
 * info/knotes: every registration. Tokens, and what USER knotes carry, are bytes that a process hands to itself or to another: others
 * see that there is a knote, and not these.
 */
export function knotesTable(subsystem: KqueueSubsystem, directory: KqueuesDirectory): Table {
  return {
    name: 'knotes',
    columns: ['kqueue', 'filter', 'ident', 'flags', 'fflags', 'data', 'status', 'udata'],
    *rows(viewer) {
      for (const kqueue of subsystem.kqueues) {
        const showsTokens = maySeeTokens(viewer, directory, kqueue);
        for (const knote of kqueue.knotes()) {
          if (knote.isOrphan) {
            kqueue.drop(knote);
            yield NO_ROW;
            continue;
          }
          // A timer counts when somebody looks.
          if (knote.filter === EVFILT_TIMER) knote.filterOps!.event(knote, 0);
          const showsValues = showsTokens || knote.filter !== EVFILT_USER;
          yield [
            kqueue.id,
            filterName(knote.filter),
            formatIdent(knote),
            formatFlags(knote.flags),
            showsValues ? formatFflags(knote.filter, knote.savedFflags) : '-',
            showsValues ? String(knote.data) : '-',
            knote.isDisabled ? 'disabled' : knote.isQueued ? 'pending' : 'waiting',
            showsTokens ? formatUdata(knote) : '-',
          ];
        }
      }
    },
  };
}
