import type { Credentials } from '../kern/credentials.ts';
import type { PipePair } from './pair.ts';

/**
 * An access policy, consulted where the original calls its mandatory-access-control hooks (P120). A check returns 0 or a
 * negative errno, which becomes the result of the call. Without a policy nothing is asked.
 */
export interface PipePolicy {
  checkRead?(credentials: Credentials, pair: PipePair): number;
  checkWrite?(credentials: Credentials, pair: PipePair): number;
  checkIoctl?(credentials: Credentials, pair: PipePair, command: number): number;
  checkPoll?(credentials: Credentials, pair: PipePair): number;
  checkStat?(credentials: Credentials, pair: PipePair): number;
  /** Called for each new pair. */
  created?(pair: PipePair): void;
  /** Called when both ends of a pair are closed. */
  destroyed?(pair: PipePair): void;
}
