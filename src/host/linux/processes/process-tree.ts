import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { define } from '../libc.ts';
import { processState } from './processes.ts';

const PR_SET_CHILD_SUBREAPER = 36;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
const prctl = define('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)') as (
  option: number,
  a: number,
  b: number,
  c: number,
  d: number,
) => number;

const P_ALL = 0;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x0100_0000;
/** `information` becomes a siginfo_t. */
const waitid = define('int waitid(int, unsigned int, void*, int)') as (
  idType: number,
  id: number,
  information: Int32Array,
  options: number,
) => number;
const waitpid = define('int waitpid(int, void*, int)') as (
  pid: number,
  status: null,
  options: number,
) => number;
const SIGINFO_BYTES = 128;
/** si_pid, of a siginfo_t for a child. */
const SIGINFO_PID_WORD = 4;

const POLL_INTERVAL_MS = 10;
const KILL_TIMEOUT_MS = 2000;

/** Programs that this process starts from now on have no capabilities but those that their files give them. */
export function dropAmbientCapabilities(): void {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/**
 * The processes that descend from this one, but for some of its own: also those whose parents have ended, since Linux makes this
 * process the parent of its orphans (PR_SET_CHILD_SUBREAPER). Only processes that the kernel shows as descendants are signalled.
 */
export class ProcessTree {
  /** Children of this process that do not belong to the tree, nor do their own. */
  readonly #excluded: ReadonlySet<number>;

  constructor(excluded: readonly number[]) {
    this.#excluded = new Set(excluded);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  }

  /** Those that have not ended. One that loses its parent while /proc is read may be missing. */
  members(): number[] {
    const children = new Map<number, number[]>();
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const pid = Number(name);
      const state = processState(pid);
      // A zombie has no children any more; one whose other threads go on has not ended.
      if (state === null || (state.isZombie && state.threadCount <= 1) || this.#excluded.has(pid)) continue;
      const siblings = children.get(state.parent);
      if (siblings === undefined) children.set(state.parent, [pid]);
      else siblings.push(pid);
    }
    const members = [...(children.get(process.pid) ?? [])];
    for (const pid of members) members.push(...(children.get(pid) ?? []));
    return members;
  }

  /** Waits for orphans that have ended, but not for `own` children, for which somebody else waits. */
  reap(own: ReadonlySet<number>): void {
    const information = new Int32Array(SIGINFO_BYTES / Int32Array.BYTES_PER_ELEMENT);
    for (;;) {
      information.fill(0);
      if (waitid(P_ALL, 0, information, WEXITED | WNOHANG | WNOWAIT) !== 0) return;
      const pid = information[SIGINFO_PID_WORD]!;
      // The first is always the same one: behind a child of our own others may wait, until that one is gone.
      if (pid === 0 || own.has(pid)) return;
      waitpid(pid, null, WNOHANG);
    }
  }

  /**
   * Asks all of them to end, and kills those that have not within `graceMs`. Looks again until nobody is left, since they may go on
   * making processes. Those that could not be ended: of another user, or kept by the kernel.
   */
  async end(graceMs: number): Promise<number[]> {
    const killAtMs = performance.now() + graceMs;
    const deadlineMs = killAtMs + KILL_TIMEOUT_MS;
    let isAsked = false;
    for (let emptyLooks = 0; ;) {
      const members = this.members();
      const nowMs = performance.now();
      emptyLooks = members.length === 0 ? emptyLooks + 1 : 0;
      if (emptyLooks === 2 || nowMs > deadlineMs) return members;
      for (const pid of members) {
        if (nowMs >= killAtMs) signal(pid, 'SIGKILL');
        else if (!isAsked) {
          signal(pid, 'SIGTERM');
          // A stopped process takes no signal before it goes on.
          signal(pid, 'SIGCONT');
        }
      }
      // Those who come now are started for cleaning up.
      isAsked = true;
      await delay(POLL_INTERVAL_MS);
    }
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended, or is not ours.
  }
}
