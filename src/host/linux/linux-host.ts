import { constants, totalmem } from 'node:os';
import type { Clock } from '../../kern/clock.ts';
import type { Credentials } from '../../kern/credentials.ts';
import { EPERM, ESRCH } from '../../kern/errno.ts';
import {
  type CallerDescription,
  type DescriptorTarget,
  type Host,
  NO_IDENTITY,
  ProcessEnding,
  type ResourceUsage,
  type SignalOwner,
  UNKNOWN_IDENTITY,
} from '../../kern/host.ts';
import type { Work } from '../../kern/work.ts';
import { holdSpareDescriptor } from './descriptors/spare-descriptor.ts';
import { descriptorIdentity, descriptorInfo, type MountPlace } from './descriptors/descriptors.ts';
import { complain } from '../complain.ts';
import { collectGarbage } from '../garbage-collector.ts';
import { HeapLimit } from '../heap-limit.ts';
import { MemoryRoom } from '../memory-room.ts';
import { trimFreedMemory } from './memory/memory-calls.ts';
import { MemoryCgroups } from './memory/memory-cgroups.ts';
import { ProcessLimits } from './memory/process-limits.ts';
import { SystemClock } from '../system-clock.ts';
import * as libc from './libc.ts';
import { SIGPIPE, tkill } from './libc.ts';
import {
  commandName,
  hasMemoryOf,
  hasSignal,
  isEndedBy,
  maySignal,
  processIdentity,
  processStatus,
  statusOfEnding,
} from './processes/processes.ts';
import { type LinuxSignalOwner, SigioSender } from './processes/sigio.ts';

const MICROSECONDS_PER_SECOND = 1_000_000;
/** Of a wait status: the signal that has ended the process. */
const SIGNAL_BITS = 0x7f;

/** Linux, as the engines need it. */
export class LinuxHost implements Host {
  readonly clock: Clock = new SystemClock();
  readonly #processLimits = new ProcessLimits();
  readonly #cgroups = new MemoryCgroups();
  readonly #room = new MemoryRoom([new HeapLimit(), this.#processLimits, this.#cgroups], () => {
    collectGarbage();
    trimFreedMemory();
  });
  readonly memoryBytes: number;
  /** The mount that this process serves; no file is on it as long as it serves none. */
  mount: MountPlace = { id: -1, deviceMinor: -1 };
  readonly #sigio = new SigioSender();
  /** Whether the tree knows what the machine knows its files by: identities of open files, and inode numbers. */
  isTreeKnown = true;

  constructor() {
    holdSpareDescriptor();
    const roomBytes = Math.min(this.#processLimits.roomBytes(), this.#cgroups.roomBytes());
    this.memoryBytes = Math.max(0, Math.min(totalmem(), roomBytes));
    this.#processLimits.hold();
  }

  hasMemory(sizeBytes: number): boolean {
    return this.#room.has(sizeBytes);
  }

  signalOwner(id: number, credentials: Credentials): SignalOwner | number {
    if (id < 0) return this.#groupOwner(id, credentials);
    const status = processStatus(id);
    const identity = processIdentity(id);
    if (status?.tgid !== id || identity === null) return -ESRCH;
    if (!maySignal(credentials.uid, status)) return -EPERM;
    const owner: LinuxSignalOwner = { id, credentials, identity };
    return owner;
  }

  postSigio(owner: SignalOwner): void {
    this.#sigio.post(owner as LinuxSignalOwner);
  }

  /** From now on SIGIO is collected until `flushSigio`, where calls are served one by one and each ends with that. */
  collectSigio(): void {
    this.#sigio.isCollecting = true;
  }

  flushSigio(): Work<void> | null {
    return this.#sigio.flush();
  }

  postSigpipe(threadId: number): void {
    if (threadId > 0) tkill(threadId, SIGPIPE);
  }

  signalCaller(threadId: number, signal: string, credentials: Credentials): number {
    const number = constants.signals[`SIG${signal}` as NodeJS.Signals];
    const status = threadId > 0 ? processStatus(threadId) : null;
    if (status === null) return -ESRCH;
    if (!maySignal(credentials.uid, status)) return -EPERM;
    const endsCall = isEndedBy(threadId, number);
    if (libc.kill(status.tgid, number) < 0) return libc.failure();
    return endsCall ? 1 : 0;
  }

  hasSignal(threadId: number): boolean {
    return hasSignal(threadId);
  }

  processOf(threadId: number): number {
    return processStatus(threadId)?.tgid ?? threadId;
  }

  endingOf(threadId: number): ProcessEnding {
    if (threadId <= 0) return ProcessEnding.None;
    const hasMemory = hasMemoryOf(threadId);
    if (hasMemory === null) return ProcessEnding.Gone;
    if (hasMemory) return ProcessEnding.None;
    const status = statusOfEnding(threadId);
    if (status === null) return ProcessEnding.Gone;
    return (status & SIGNAL_BITS) !== 0 ? ProcessEnding.Signal : ProcessEnding.Exit;
  }

  describeThread(threadId: number): CallerDescription | null {
    const status = processStatus(threadId);
    const command = status === null ? null : commandName(status.tgid);
    return command === null ? null : { process: status!.tgid, parent: status!.parent, command };
  }

  describeDescriptor(pid: number, descriptor: number): DescriptorTarget | null {
    const identity = this.identityOf(pid, descriptor);
    if (identity === NO_IDENTITY) return null;
    const found = descriptorInfo(pid, descriptor);
    if (found === null || (identity === UNKNOWN_IDENTITY && found.mountId !== this.mount.id)) return null;
    const { isReadable, isWritable } = found;
    return { identity, inode: this.isTreeKnown ? found.inode : null, isReadable, isWritable };
  }

  identityOf(pid: number, descriptor: number): number {
    const identity = descriptorIdentity(pid, descriptor, this.mount);
    return identity > 0 && !this.isTreeKnown ? UNKNOWN_IDENTITY : identity;
  }

  supplementaryGroups(threadId: number): readonly number[] {
    return processStatus(threadId)?.groups ?? [];
  }

  resourceUsage(): ResourceUsage {
    const { rss, heapUsed } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    return {
      residentBytes: rss,
      heapBytes: heapUsed,
      processorSeconds: (user + system) / MICROSECONDS_PER_SECOND,
      startedSeconds: Math.round(Date.now() / 1000 - process.uptime()),
    };
  }

  log(message: string): void {
    complain(`ipcfs: ${message}\n`);
  }

  /**
   * Two processes of the group are asked, its first one and the caller: a look at all processes for their groups takes milliseconds, and
   * callers would cause it as often as they like.
   */
  #groupOwner(id: number, credentials: Credentials): SignalOwner | number {
    const { uid, pid: caller } = credentials;
    const group = -id;
    if (!groupExists(group)) return -ESRCH;
    const isAllowed = [group, caller].some((pid) => {
      const status = pid > 0 && libc.getpgid(pid) === group ? processStatus(pid) : null;
      return status !== null && maySignal(uid, status);
    });
    const owner: LinuxSignalOwner = { id, credentials, identity: 0 };
    return uid === 0 || isAllowed ? owner : -EPERM;
  }
}

/** Whether a process group has a member, which Linux knows without a search. */
function groupExists(group: number): boolean {
  // 1 would name every process, and not a group.
  if (group <= 1) return libc.getpgid(1) === group;
  return libc.kill(-group, 0) === 0 || libc.failure() === -EPERM;
}
