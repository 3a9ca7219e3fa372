import type { Operation } from '../kern/operation.ts';
import type { Sleeper } from '../kern/sleeper.ts';
import type { Thread } from '../kern/scheduler.ts';
import type { Node } from './node.ts';
import type { TracedCall } from './traced-call.ts';

/** A call that has not been answered because its operation sleeps. */
export interface BlockedCall {
  /** The calling thread. */
  readonly pid: number;
  /** `open`, `read`, `write`, `close`, `flock`, `fcntl`. */
  readonly call: string;
  readonly node: Node;
  readonly thread: Thread;
  /** Bytes that a write has neither stored nor offered directly yet; 0 for other calls. */
  readonly residualBytes: number;
}

/** A counter of a transport's own, as info/metrics shows it. It never falls, unless it is a gauge. */
export interface TransportCounter {
  readonly name: string;
  readonly type?: 'gauge';
  readonly help: string;
  readonly value: number;
}

/** Which processes map each inode. */
export interface Mappers {
  readonly byInode: ReadonlyMap<number, readonly number[]>;
  /** Whether there may be others, which could not be looked at. */
  readonly isPartial: boolean;
}

/** Finds which processes map which inodes of the mount now. */
export type FindMappers = () => Operation<Mappers>;

/** Finds who sleeps outside of the mount now, as far as can be seen. */
export type FindSleepers = () => Operation<readonly Sleeper[]>;

/** Asks the open file behind a descriptor of a process for its handle; 0 where that cannot be done. */
export type HandleFinder = (pid: number, descriptor: number) => Operation<number>;

/** What a file system shows of the transport that carries its requests, and what it asks of it. */
export interface Transport {
  /** Rows of info/transport. */
  facts(): Iterable<readonly [name: string, value: string | number]>;
  counters(): Iterable<TransportCounter>;
  /** Calls that wait, in no particular order. */
  blockedCalls(): Iterable<BlockedCall>;
  /** The call that a thread makes; null for work of the server's own. */
  tracedCall(thread: Thread): TracedCall | null;
  /**
   * Waits, for a moment at most, until the detaches that have happened are known: null when they are. A transport may hear of them after
   * the calls that cause them.
   */
  settleDetaches(): Operation<void> | null;
  /** Null where the host cannot tell. */
  readonly findMappers: FindMappers | null;
  /** Null where the host cannot tell. */
  readonly findSleepers: FindSleepers | null;
  /** Null where the host cannot tell. */
  readonly findHandle: HandleFinder | null;
}

/** The transport of a file system that serves no requests. */
export const noTransport: Transport = {
  facts: () => [],
  counters: () => [],
  blockedCalls: () => [],
  tracedCall: () => null,
  settleDetaches: () => null,
  findMappers: null,
  findSleepers: null,
  findHandle: null,
};
