import type { Credentials } from '../kern/credentials.ts';
import type { PipePair } from './pair.ts';

/**
 * An access policy consulted where the original calls its mandatory-access-control hooks (P120). A check returns 0 or a
 * positive errno, which becomes the result of the call. Without a policy nothing is asked.
 */
export interface PipePolicy {
  checkRead?(credentials: Credentials, pair: PipePair): number;
  checkWrite?(credentials: Credentials, pair: PipePair): number;
  checkIoctl?(credentials: Credentials, pair: PipePair, command: number): number;
  checkPoll?(credentials: Credentials, pair: PipePair): number;
  checkStat?(credentials: Credentials, pair: PipePair): number;
  /** Told of every pair that comes and goes. */
  created?(pair: PipePair): void;
  destroyed?(pair: PipePair): void;
}
