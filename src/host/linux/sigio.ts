import type { SignalOwner } from '../../kern/host.ts';
import { kill, SIGIO } from './libc.ts';
import { maySignal, processGroupMembers, processStat, processStatus } from './processes.ts';

/** An owner with the start of its process: a number that has been given to another process since does not match. */
export interface LinuxSignalOwner extends SignalOwner {
  readonly startTicks: number;
}

/**
 * Sends SIGIO to processes and groups, to those that the owner's setter may signal at that moment. Finding that out takes tens of
 * microseconds a process, and one write may cause a signal for each of thousands of kqueues: where signals are collected, each
 * receiver gets one for all of them, and one look at the processes serves all groups.
 */
export class SigioSender {
  isCollecting = false;
  /** By receiver, and by whose rights count. */
  readonly #pending = new Map<string, LinuxSignalOwner>();

  post(owner: LinuxSignalOwner): void {
    this.#pending.set(`${owner.id} ${owner.credentials.uid} ${owner.startTicks}`, owner);
    if (!this.isCollecting) this.flush();
  }

  flush(): void {
    if (this.#pending.size === 0) return;
    const owners = [...this.#pending.values()];
    this.#pending.clear();
    const groups = owners.filter(({ id }) => id < 0).map(({ id }) => -id);
    const members = groups.length === 0 ? null : processGroupMembers(groups);
    for (const owner of owners) {
      if (owner.id < 0) for (const pid of members!.get(-owner.id)!) signal(pid, owner);
      else if (processStat(owner.id)?.startTicks === owner.startTicks) signal(owner.id, owner);
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
