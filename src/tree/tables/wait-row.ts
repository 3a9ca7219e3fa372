import type { CallerDescription } from '../../kern/host.ts';
import type { Node } from '../../vfs/node.ts';
import type { End } from './wait-ends.ts';

/** A blocked call as it is shown, or a sleep outside of the mount. */
export interface WaitRow {
  /** The thread. */
  readonly pid: number;
  readonly call: string;
  readonly node: Node;
  /** What it sleeps for. */
  readonly wait: string;
  readonly seconds: number;
  /** Null when the host cannot tell, or does not want to look up so many. */
  readonly caller: Pick<CallerDescription, 'process' | 'command'> | null;
  readonly end: End;
  /** `-` for a blocked call; otherwise what else may end the sleep, `nothing` for nothing. */
  readonly inferred: string;
}
