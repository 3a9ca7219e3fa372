import { totalmem } from 'node:os';
import type { Clock, Timespec } from '../kern/clock.ts';
import { ESRCH } from '../kern/errno.ts';
import { type Host, NO_IDENTITY, ProcessEnding } from '../kern/host.ts';

const NANOSECONDS_PER_MS = 1_000_000;
const MS_PER_SECOND = 1000;
const MICROSECONDS_PER_SECOND = 1_000_000;

const clock: Clock = {
  monotonicMs: () => performance.now(),
  realtime(): Timespec {
    const milliseconds = Date.now();
    return {
      seconds: Math.floor(milliseconds / 1000),
      nanoseconds: (milliseconds % 1000) * NANOSECONDS_PER_MS,
    };
  },
};

/**
 * This program as the engines' host. Callers are objects of the program and not processes, so nobody is sent a signal: a write
 * without a reader is its error alone.
 */
export const programHost: Host = {
  clock,
  memoryBytes: totalmem(),
  // The program's own affair: its engines are called by nobody else.
  hasMemory: () => true,
  signalOwner: () => -ESRCH,
  postSigio: () => undefined,
  postSigpipe: () => undefined,
  signalCaller: () => -ESRCH,
  processOf: (threadId) => threadId,
  endingOf: () => ProcessEnding.None,
  describeThread: (threadId) => ({ process: threadId, parent: process.ppid, command: process.title }),
  describeDescriptor: () => null,
  identityOf: () => NO_IDENTITY,
  supplementaryGroups: () => [],
  resourceUsage() {
    const { rss, heapUsed } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    return {
      residentBytes: rss,
      heapBytes: heapUsed,
      processorSeconds: (user + system) / MICROSECONDS_PER_SECOND,
      startedSeconds: performance.timeOrigin / MS_PER_SECOND,
    };
  },
  log: (message) => {
    process.emitWarning(message, 'ipcfs');
  },
};
