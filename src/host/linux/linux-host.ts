import { totalmem } from 'node:os';
import type { Clock } from '../../kern/clock.ts';
import type { Credentials } from '../../kern/credentials.ts';
import { EPERM, ESRCH } from '../../kern/errno.ts';
import {
  type CallerDescription,
  type DescriptorTarget,
  type Host,
  NO_IDENTITY,
  type ResourceUsage,
  type SignalOwner,
  UNKNOWN_IDENTITY,
} from '../../kern/host.ts';
import { holdSpareDescriptor } from './spare-descriptor.ts';
import { descriptorIdentity, descriptorInfo, type MountPlace } from './descriptors.ts';
import { complain } from '../complain.ts';
import { collectGarbage } from '../garbage-collector.ts';
import { HeapLimit } from '../heap-limit.ts';
import { MemoryRoom } from '../memory-room.ts';
import { MemoryCgroups } from './memory-cgroups.ts';
import { ProcessLimits } from './process-limits.ts';
import { SystemClock } from '../system-clock.ts';
import * as libc from './libc.ts';
import { SIGPIPE, tkill } from './libc.ts';
import { commandName, maySignal, processGroupMembers, processStat, processStatus } from './processes.ts';
import { type LinuxSignalOwner, SigioSender } from './sigio.ts';

const MICROSECONDS_PER_SECOND = 1_000_000;

/** Linux, as the engines need it. */
export class LinuxHost implements Host {
  readonly clock: Clock = new SystemClock();
  readonly #processLimits = new ProcessLimits();
  readonly #cgroups = new MemoryCgroups();
  readonly #room = new MemoryRoom([new HeapLimit(), this.#processLimits, this.#cgroups], () => {
    collectGarbage();
    libc.trimFreedMemory();
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
    const stat = processStat(id);
    if (status?.tgid !== id || stat === null) return -ESRCH;
    if (!maySignal(credentials.uid, status)) return -EPERM;
    const owner: LinuxSignalOwner = { id, credentials, startTicks: stat.startTicks };
    return owner;
  }

  postSigio(owner: SignalOwner): void {
    this.#sigio.post(owner as LinuxSignalOwner);
  }

  /** From now on SIGIO is collected until `flushSigio`, where calls are served one by one and each ends with that. */
  collectSigio(): void {
    this.#sigio.isCollecting = true;
  }

  flushSigio(): void {
    this.#sigio.flush();
  }

  postSigpipe(threadId: number): void {
    if (threadId > 0) tkill(threadId, SIGPIPE);
  }

  processOf(threadId: number): number {
    return processStatus(threadId)?.tgid ?? threadId;
  }

  describeThread(threadId: number): CallerDescription | null {
    const process = processStatus(threadId)?.tgid;
    const command = process === undefined ? null : commandName(process);
    return command === null ? null : { process: process!, command };
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

  #groupOwner(id: number, credentials: Credentials): SignalOwner | number {
    const members = processGroupMembers([-id]).get(-id)!;
    if (members.length === 0) return -ESRCH;
    const allowed = members.some((pid) => {
      const status = processStatus(pid);
      return status !== null && maySignal(credentials.uid, status);
    });
    const owner: LinuxSignalOwner = { id, credentials, startTicks: 0 };
    return allowed ? owner : -EPERM;
  }
}
