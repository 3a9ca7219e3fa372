import { Thread, ThreadState } from '../../kern/scheduler.ts';
import type { WriteUio } from '../../kern/uio.ts';
import type { BlockedCall } from '../../vfs/waits.ts';
import type { Node } from '../../vfs/node.ts';
import type { OpenFile } from '../../vfs/open-file.ts';

/** A caller's system call whose operation runs or sleeps: a kernel thread of ours, and what tables show of it. */
export class Call extends Thread {
  /** The calling thread, 0 when it is not known. */
  pid = 0;
  /** Set by every operation that may sleep. */
  node: Node | null = null;
  file: OpenFile | null = null;
  /** What WRITE takes from. */
  source: WriteUio | null = null;
}

/** Those of `calls` that sleep, for info/waits. */
export function* sleepingCalls<T extends Call>(
  calls: Iterable<T>,
  nameOf: (call: T) => string,
): Iterable<BlockedCall> {
  for (const thread of calls) {
    if (thread.state !== ThreadState.Sleeping || thread.node === null) continue;
    yield {
      pid: thread.pid,
      call: nameOf(thread),
      node: thread.node,
      thread,
      residualBytes: thread.source?.residual ?? 0,
    };
  }
}
