import { totalmem } from 'node:os';
import { EOPNOTSUPP } from '../kern/errno.ts';
import {
  type CallerDescription,
  type DescriptorTarget,
  type Host,
  ProcessEnding,
  type ResourceUsage,
  type SignalOwner,
  UNKNOWN_IDENTITY,
} from '../kern/host.ts';
import { complain } from './complain.ts';
import { HeapLimit } from './heap-limit.ts';
import { MemoryRoom } from './memory-room.ts';
import { SystemClock } from './system-clock.ts';

const MICROSECONDS_PER_SECOND = 1_000_000;
const MILLISECONDS_PER_SECOND = 1000;

/** What any system with Node has: a clock and standard error. Callers' processes are not known, and nobody is signalled. */
export class PortableHost implements Host {
  readonly clock = new SystemClock();
  readonly memoryBytes = totalmem();
  readonly #room = new MemoryRoom([new HeapLimit()]);

  hasMemory(sizeBytes: number): boolean {
    return this.#room.has(sizeBytes);
  }

  signalOwner(): SignalOwner | number {
    return -EOPNOTSUPP;
  }

  postSigio(): void {
    // Nobody can be its owner.
  }

  postSigpipe(): void {
    // The caller's thread is not known.
  }

  signalCaller(): number {
    return -EOPNOTSUPP;
  }

  processOf(threadId: number): number {
    return threadId;
  }

  describeDescriptor(): DescriptorTarget | null {
    return null;
  }

  endingOf(): ProcessEnding {
    return ProcessEnding.None;
  }

  describeThread(): CallerDescription | null {
    return null;
  }

  identityOf(): number {
    return UNKNOWN_IDENTITY;
  }

  resourceUsage(): ResourceUsage {
    const { rss, heapUsed } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    return {
      residentBytes: rss,
      heapBytes: heapUsed,
      processorSeconds: (user + system) / MICROSECONDS_PER_SECOND,
      startedSeconds: performance.timeOrigin / MILLISECONDS_PER_SECOND,
    };
  }

  supplementaryGroups(): readonly number[] {
    return [];
  }

  log(message: string): void {
    complain(`ipcfs: ${message}\n`);
  }
}
