import { LockWaiter } from '../../kern/advisory-locks.ts';
import { Thread, ThreadState } from '../../kern/scheduler.ts';
import type { WriteUio } from '../../kern/uio.ts';
import type { Node } from '../../vfs/node.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import type { BlockedCall } from '../../vfs/transport.ts';

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
    const { owner } = thread.channel!;
    yield {
      pid: thread.pid,
      // Two calls are one request: the wait tells them apart.
      call: owner instanceof LockWaiter ? owner.table.call : nameOf(thread),
      node: thread.node,
      thread,
      residualBytes: thread.source?.residual ?? 0,
    };
  }
}
