import type { Kqueue } from '../../kqueue/kqueue.ts';
import type { KqueueSubsystem } from '../../kqueue/subsystem.ts';
import { type Column, NO_ROW, type Table } from '../../vfs/table.ts';
import type { KqueuesDirectory } from '../kqueues.ts';

interface KqueueRow {
  readonly kqueue: Kqueue;
  readonly directory: KqueuesDirectory;
}

export const kqueuesColumns = [
  { name: 'id', description: 'number of the queue', value: ({ kqueue }) => kqueue.id },
  {
    name: 'name',
    description: 'its path in kqueues/, `-` for a queue that only open files have',
    value: ({ kqueue, directory }) => {
      const node = directory.nodeOf(kqueue);
      return node === undefined || node.names.length === 0 ? '-' : node.path;
    },
  },
  { name: 'pid', description: 'thread that created it', value: ({ kqueue }) => kqueue.ownerPid },
  { name: 'knotes', description: 'registrations', value: ({ kqueue }) => kqueue.knoteCount },
  { name: 'pending', description: 'events that a read would return', value: ({ kqueue }) => kqueue.count },
  {
    name: 'blocked-readers',
    description: 'reads that wait',
    value: ({ kqueue }) => {
      let sleepers = 0;
      for (let thread = kqueue.channel.firstSleeper; thread !== null; thread = thread.nextSleeper) sleepers++;
      return sleepers;
    },
  },
] as const satisfies readonly Column<KqueueRow>[];

/** info/kqueues: every queue, what is registered and what is pending. */
export function kqueuesTable(subsystem: KqueueSubsystem, directory: KqueuesDirectory): Table<KqueueRow> {
  return {
    name: 'kqueues',
    columns: kqueuesColumns,
    *rows() {
      subsystem.processes.catchUp();
      for (const kqueue of subsystem.kqueues) {
        for (const _ of kqueue.droppingOrphans()) yield NO_ROW;
        if (!kqueue.isTerminated) yield { kqueue, directory };
      }
    },
  };
}
