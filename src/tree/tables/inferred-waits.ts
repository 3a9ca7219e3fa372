import type { Credentials } from '../../kern/credentials.ts';
import type { Sleeper } from '../../kern/sleeper.ts';
import type { Node } from '../../vfs/node.ts';
import type { OpenFileTable } from '../../vfs/open-file.ts';
import { NO_ROW } from '../../vfs/table.ts';
import type { BlockedCall } from '../../vfs/transport.ts';
import type { TimedSleeper } from './sleep-times.ts';
import { endOfWatch, NOBODY } from './wait-ends.ts';
import type { WaitRow } from './wait-row.ts';

/** Open files, or calls, that are gone through without a turn of others: some 50 us. */
const STEP = 256;

const WATCH_WAITS = { in: 'pollin', out: 'pollout' } as const;
/** Rows of one process for files that it has open and does not watch. */
const MOST_HELD = 64;

interface InferredQuestion {
  readonly sleepers: readonly TimedSleeper[];
  readonly viewer: Credentials;
  readonly openFiles: OpenFileTable;
  readonly blockedCalls: () => Iterable<BlockedCall>;
}

/** The sleepers that a viewer may see, as rows: one for each file and direction that a call watches. */
export function* inferredRows({
  sleepers,
  viewer,
  openFiles,
  blockedCalls,
}: InferredQuestion): Iterable<WaitRow | typeof NO_ROW> {
  // What Linux shows of calls that are made elsewhere it shows to their user and to root.
  const own = sleepers.filter(({ sleeper }) => viewer.uid === 0 || viewer.uid === sleeper.uid);
  if (own.length === 0) return;
  const nodes = new Map<number, Node>();
  const isBlocked = new Set<number>();
  let steps = 0;
  for (const { pid } of blockedCalls()) {
    isBlocked.add(pid);
    if (++steps % STEP === 0) yield NO_ROW;
  }
  for (const { node } of openFiles.all()) {
    nodes.set(node.inode, node);
    if (++steps % STEP === 0) yield NO_ROW;
  }
  const watching = new Set(
    own.filter(({ sleeper }) => sleeper.watches.length > 0).map(({ sleeper }) => sleeper.process),
  );
  const shown = new Set<number>();
  for (const { sleeper, seconds } of own) {
    const { thread, process, command, call, watches, held } = sleeper;
    // It has come into the mount meanwhile, or is here to read the table.
    if (isBlocked.has(thread) || thread === viewer.pid) continue;
    const row = {
      pid: thread,
      call,
      seconds,
      caller: { process, command },
      inferred: inferredBy(sleeper, isBlocked),
    };
    for (const { inode, direction } of watches) {
      const node = nodes.get(inode);
      if (node === undefined) continue;
      yield { ...row, node, wait: WATCH_WAITS[direction], end: endOfWatch(node, direction) };
    }
    // One thread is enough to say that a process has something open and looks elsewhere.
    if (watching.has(process) || shown.has(process)) continue;
    shown.add(process);
    for (const inode of held.slice(0, MOST_HELD)) {
      const node = nodes.get(inode);
      if (node === undefined) continue;
      yield {
        ...row,
        node,
        wait: 'outside',
        end: { until: 'its call outside of the mount ends', ...NOBODY },
      };
    }
  }
}

function inferredBy({ ends, others }: Sleeper, isBlocked: ReadonlySet<number>): string {
  const words = new Set<string>(ends);
  if (others.some((thread) => !isBlocked.has(thread))) words.add('threads');
  return words.size === 0 ? 'nothing' : [...words].join(',');
}
