import type { SignalOwner } from '../../../kern/host.ts';
import { atOnce, type Work } from '../../../kern/work.ts';
import { getpgid, kill, SIGIO } from '../libc.ts';
import { maySignal, processIdentity, processIds, processStatus } from './processes.ts';

/** An owner with the identity of its process: a number that has been given to another process since does not match. */
export interface LinuxSignalOwner extends SignalOwner {
  readonly identity: number;
}

/** Processes that get theirs before the call that has caused it is answered. More would keep other calls waiting. */
const AT_ONCE = 16;

/**
 * Sends SIGIO to processes and groups, to those that the owner's setter may signal at that moment. Finding that out takes tens of
 * microseconds a process, and one write may cause a signal for each of thousands of kqueues: where signals are collected, each
 * receiver gets one for all of them, and one look at the processes serves all groups.
 */
export class SigioSender {
  isCollecting = false;
  /** By receiver, and by whose rights count. */
  readonly #processes = new Map<string, LinuxSignalOwner>();
  readonly #groups = new Map<string, LinuxSignalOwner>();
  #isSending = false;

  post(owner: LinuxSignalOwner): void {
    const pending = owner.id < 0 ? this.#groups : this.#processes;
    pending.set(`${owner.id} ${owner.credentials.uid} ${owner.identity}`, owner);
    if (this.isCollecting) return;
    const rest = this.flush();
    if (rest !== null) atOnce(rest);
  }

  /** Sends to the first few processes; the work that sends the rest, null when there is none or it is being done. */
  flush(): Work<void> | null {
    if (this.#processes.size === 0 && this.#groups.size === 0) return null;
    let left = AT_ONCE;
    for (const [key, owner] of this.#processes) {
      if (left-- === 0) break;
      this.#processes.delete(key);
      signalProcess(owner);
    }
    if (this.#isSending || (this.#processes.size === 0 && this.#groups.size === 0)) return null;
    this.#isSending = true;
    return this.#sendRest();
  }

  /** What is posted meanwhile is sent as well: no call makes more work of this kind while there is some. */
  *#sendRest(): Work<void> {
    try {
      while (this.#processes.size > 0 || this.#groups.size > 0) {
        for (const [key, owner] of this.#processes) {
          this.#processes.delete(key);
          signalProcess(owner);
          yield;
        }
        const groups = [...this.#groups.values()];
        this.#groups.clear();
        if (groups.length > 0) yield* signalGroups(groups);
      }
    } finally {
      this.#isSending = false;
    }
  }
}

function signalProcess(owner: LinuxSignalOwner): void {
  if (processIdentity(owner.id) === owner.identity) signal(owner.id, owner);
}

function* signalGroups(owners: readonly LinuxSignalOwner[]): Work<void> {
  const wanted = new Map<number, number[]>();
  for (const { id } of owners) wanted.set(-id, []);
  for (const pids of processIds()) {
    for (const pid of pids) wanted.get(getpgid(pid))?.push(pid);
    yield;
  }
  for (const owner of owners) {
    for (const pid of wanted.get(-owner.id)!) {
      signal(pid, owner);
      yield;
    }
  }
}

function signal(pid: number, { credentials: { uid } }: LinuxSignalOwner): void {
  if (uid !== 0) {
    const status = processStatus(pid);
    if (status === null || !maySignal(uid, status)) return;
  }
  kill(pid, SIGIO);
}
