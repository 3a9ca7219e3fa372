import { writeSync } from 'node:fs';
import type { ProcessTree } from '../../host/linux/processes/process-tree.ts';
import { printableLine } from '../printable.ts';
import type { BlockedCallRow, Holders } from '../blocked-calls/wait-graph.ts';
import type { MountPoint } from '../tables/mount-calls.ts';

/** Calls that were found to wait for ever, perhaps; `line` says so. */
export interface FoundDeadlock {
  readonly calls: readonly BlockedCallRow[];
  readonly line: string;
  readonly holders: Holders;
}

/** A command that runs with a mount. */
export interface Run {
  readonly mount: MountPoint;
  /** The command and all that descends from it. */
  readonly tree: ProcessTree;
  /** The command has ended, or has been stopped. */
  readonly isOver: boolean;
  /** The server has ended, and the mount with it. */
  readonly hasMountEnded: boolean;
  /** Who wants to hear of deadlocks. */
  readonly deadlockListeners: ((found: FoundDeadlock) => void)[];
  /** Ends the tree; the run exits with `status`, unless another status has been decided. */
  stop(status: number): void;
}

/** The mount of a run. */
export interface RunMount {
  /** Absolute, without links. */
  readonly directory: string;
  /** The server, if it is a child of this process; null otherwise. */
  readonly serverPid: number | null;
  /** What a person should know of the mount; empty when there is nothing to say. */
  readonly remark: string;
  /** Settles when the server has ended. */
  readonly ended: Promise<void>;
  /** What the server said when it ended by itself; empty when it said nothing. */
  readonly lastWords: string;
  /** The run is over. False when the mount should have been taken away and could not. */
  end(): Promise<boolean>;
}

/** Something that accompanies a run. Every member is called once, in this order, for all features in the order of their list. */
export interface RunFeature {
  /** The mount answers, and the command has not begun. */
  begin?(run: Run): void | Promise<void>;
  /** The command has begun. */
  started?(): void;
  /**
   * The command has ended by itself, and what it has left still runs: the status that the run has to exit with instead of the command's,
   * or null.
   */
  judge?(run: Run): Promise<number | null>;
  /**
   * Nothing of the command runs any more, and the mount still answers: the status that a run has to exit with that has ended by itself and
   * that no feature has judged, or null.
   */
  end?(run: Run): Promise<number | null>;
}

const STANDARD_ERROR = 2;

/**
 * Writes lines to standard error, with a prefix for the first. By the descriptor: a stream of Node would make it non-blocking for the
 * command, which shares it, and the run goes on when nobody reads.
 */
export function announce(line: string, details = ''): void {
  const bytes = Buffer.from(`ipcfs: ${printableLine(line)}\n${details}`);
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(STANDARD_ERROR, bytes, at);
  } catch {
    // There is nobody to tell.
  }
}
