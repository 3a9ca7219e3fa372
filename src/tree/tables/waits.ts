import { isPause } from '../../kern/operation.ts';
import type { Thread } from '../../kern/scheduler.ts';
import type { CallerDescription } from '../../kern/host.ts';
import type { OpenFileTable } from '../../vfs/open-file.ts';
import type { SegmentFiles } from '../segments/segment-files.ts';
import { type Column, NO_ROW, type Table } from '../../vfs/table.ts';
import type { Transport } from '../../vfs/transport.ts';
import { SleepTimes } from './sleep-times.ts';
import { inferredRows } from './inferred-waits.ts';
import { endOfWait } from './wait-ends.ts';
import type { WaitRow } from './wait-row.ts';

export const waitsColumns = [
  { name: 'pid', description: 'thread that makes the call', value: ({ pid }) => pid },
  { name: 'call', description: '`open`, `read`, `write` and so on', value: ({ call }) => call },
  { name: 'object', description: 'first name of the object', value: ({ node }) => node.path },
  {
    name: 'wait',
    description:
      "what it sleeps for, in the words of BSD's `ps`; `pollin`, `pollout` and `outside` for inferred rows",
    value: ({ wait }) => wait,
  },
  {
    name: 'since',
    description:
      'for how long, in seconds; an inferred row counts from when a reader of the table first saw it',
    value: ({ seconds }) => seconds,
  },
  {
    name: 'process',
    description: 'process of the thread, `-` if unknown',
    value: ({ caller }) => caller?.process ?? '-',
  },
  {
    name: 'command',
    description: 'name of the process, `-` if unknown',
    value: ({ caller }) => caller?.command ?? '-',
  },
  { name: 'ino', description: 'inode number of the object', value: ({ node }) => node.inode },
  {
    name: 'peer-ino',
    description: "inode number whose holders can end the wait: the other end's, for a pair; `-` for none",
    value: ({ end }) => end.inode,
  },
  {
    name: 'peers',
    description: 'open files of that inode that can end the wait; 0 when a process has to open it first',
    value: ({ end }) => end.openFiles,
  },
  {
    name: 'inferred',
    description:
      '`-` for a blocked call; otherwise /proc shows the sleep, and this is what else may end it: `nothing`, or words of `timeout`, `others`, `threads`, `unknown`, separated by commas',
    value: ({ inferred }) => inferred,
  },
  { name: 'until', description: 'what ends the wait, in words', value: ({ end }) => end.until },
] as const satisfies readonly Column<WaitRow>[];

/**
 * info/waits: every blocked call, who makes it, what it waits for, for how many seconds it has, and what would end it. Then who sleeps
 * outside of the mount and has files of it open, as far as the host can tell.
 */
export function waitsTable(
  transport: Transport,
  {
    nowMs,
    describeThread,
    segments,
    openFiles,
    hasPipes,
  }: {
    readonly nowMs: () => number;
    readonly describeThread: (threadId: number) => CallerDescription | null;
    readonly segments: SegmentFiles;
    readonly openFiles: OpenFileTable;
    /** Whether somebody has a pipe open. */
    readonly hasPipes: () => boolean;
  },
): Table<WaitRow> {
  /** Of calls that have been shown before: looking in /proc takes longer than all the rest of a row. */
  const callers = new WeakMap<Thread, CallerDescription>();
  const sleepTimes = new SleepTimes();

  function* blockedRows(): Iterable<WaitRow | typeof NO_ROW> {
    for (const call of transport.blockedCalls()) {
      const { thread, pid, node } = call;
      const { options } = thread;
      if (options === null || isPause(options)) {
        yield NO_ROW;
        continue;
      }
      const caller = callers.get(thread) ?? describeThread(pid);
      if (caller !== null) callers.set(thread, caller);
      yield {
        pid,
        call: call.call,
        node,
        wait: options.message,
        seconds: Math.round(nowMs() - thread.sleepingSinceMs) / 1000,
        caller,
        end: endOfWait(call, options.message, segments),
        inferred: '-',
      };
    }
  }

  return {
    name: 'waits',
    columns: waitsColumns,
    endsInText: true,
    *prepare() {
      const { findSleepers } = transport;
      sleepTimes.saw(findSleepers !== null && hasPipes() ? yield* findSleepers() : [], nowMs());
    },
    *rows(viewer) {
      // A look that another reader causes meanwhile is not mixed in.
      const { sleepers } = sleepTimes;
      yield* blockedRows();
      yield* inferredRows({ sleepers, viewer, openFiles, blockedCalls: () => transport.blockedCalls() });
    },
  };
}
