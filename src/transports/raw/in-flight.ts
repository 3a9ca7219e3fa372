import { Call } from '../common/call.ts';
import { GatherUio } from './gather-uio.ts';
import type { ReceiveBuffer } from './protocol/request.ts';

/** A request whose operation runs or sleeps, and what its answer needs. */
export class InFlight extends Call {
  unique = 0;
  /** When the request arrived, on the monotonic clock, in milliseconds. */
  receivedMs = 0;
  /** The kernel has sent the request again, and knows it by the marked unique since. */
  isResent = false;
  opcode = 0;
  /** For CREATE: the payload bytes already in place before the open's answer. */
  entryBytes = 0;
  /** What READ gathers. */
  readonly gather = new GatherUio();
  /** The receive buffer that a sleeping WRITE keeps; null when it does not need one. */
  buffer: ReceiveBuffer | null = null;
  /** The later part of one read or write that the kernel has cut into requests. */
  isContinuation = false;
  /** The operation has slept: the session knows the thread as in flight. */
  hasSlept = false;
}
