import type { Credentials } from '../../kern/credentials.ts';
import { EAGAIN, EINTR, EPIPE } from '../../kern/errno.ts';
import type { IoctlArgument } from '../../kern/file.ts';
import type { Host } from '../../kern/host.ts';
import { type Operation, sleep, type SleepOptions, WakeReason } from '../../kern/operation.ts';
import { POLLHUP, POLLIN, POLLOUT, POLLRDNORM, type Poller } from '../../kern/poll.ts';
import type { ReadUio, WriteUio } from '../../kern/uio.ts';
import { pipeDrain } from '../../pipe/drain.ts';
import type { PipeEnd } from '../../pipe/end.ts';
import type { CallFaults } from '../../vfs/calls.ts';
import type { AttributeChange, Node } from '../../vfs/node.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import type { Fault } from './fault.ts';
import type { FaultCall } from './fault-actions.ts';
import { type FaultTable, objectKindOf } from './fault-table.ts';

const faultSleep: SleepOptions = { message: 'fault', interruptible: true, isLong: true };

/** In place of a call's result: it is to be made. */
const GOES_ON = null;

/** The least that the hits allow a call to move; Infinity when they do not say. */
function leastOf(hits: readonly Fault[], kind: 'short' | 'split'): number {
  let least = Infinity;
  for (const { spec, isRemoved } of hits) {
    if (spec.action.kind === kind && !isRemoved) least = Math.min(least, spec.action.sizeBytes);
  }
  return least;
}

/** Does to calls what faults say. Which faults hit a call is decided when it arrives. */
export class FaultInjector implements CallFaults {
  readonly #table: FaultTable;
  readonly #host: Host;
  /** Open files whose other side is gone, as a fault says that is there still. */
  readonly #hungUp = new WeakMap<OpenFile, Fault>();

  constructor(table: FaultTable, host: Host) {
    this.#table = table;
    this.#host = host;
  }

  open(file: OpenFile): Operation<number> {
    const { node, credentials } = file;
    const call = objectKindOf(node) === 'segment' ? 'attach' : 'open';
    const hits = this.#hits(call, node, credentials, !file.nonBlocking);
    return hits === null ? node.open(file) : this.#open(hits, file, call);
  }

  /** Nothing may sleep here. */
  openAtOnce(file: OpenFile, isMaker: boolean): number {
    const { node, credentials } = file;
    const call = objectKindOf(node) === 'segment' ? 'attach' : 'open';
    const hits = this.#hits(call, node, credentials, false);
    const result = hits === null ? GOES_ON : this.#atOnce(hits, credentials);
    return result ?? node.openAtOnce(file, isMaker);
  }

  *beforeAttach(node: Node, credentials: Credentials): Operation<number> {
    const hits = this.#hits('attach', node, credentials, true);
    if (hits === null) return 0;
    return (yield* this.#before(hits, 'attach', null, credentials)) ?? 0;
  }

  read(file: OpenFile, uio: ReadUio, credentials: Credentials): Operation<number> {
    const hits = this.#hits('read', file.node, credentials, !file.nonBlocking);
    if (hits === null && this.#hangupOf(file) === null) return file.ops.read(file, uio, credentials);
    return this.#read(hits ?? [], file, uio, credentials);
  }

  write(file: OpenFile, uio: WriteUio, credentials: Credentials): Operation<number> {
    const isStream = objectKindOf(file.node) === 'stream';
    const isAtomic = isStream && uio.residual <= endOf(file).pair.subsystem.pipeBufBytes;
    const hits = this.#hits('write', file.node, credentials, !file.nonBlocking, !isAtomic);
    if (hits === null && this.#hangupOf(file) === null) return file.ops.write(file, uio, credentials);
    // While it sleeps, most of its bytes need not be kept: the pipe gets the rest.
    if (isStream && !isAtomic) uio.isPageable = true;
    return this.#write(hits ?? [], file, uio, credentials);
  }

  ioctl(file: OpenFile, command: number, argument: IoctlArgument, credentials: Credentials): number {
    const hits = this.#hits('ioctl', file.node, credentials, false);
    const result = hits === null ? GOES_ON : this.#atOnce(hits, credentials);
    return result ?? file.ops.ioctl(file, command, argument, credentials);
  }

  exchange(
    file: OpenFile,
    input: Uint8Array,
    output: ReadUio,
    credentials: Credentials,
  ): Operation<number> | number {
    const hits = this.#hits('ioctl', file.node, credentials, false);
    const result = hits === null ? GOES_ON : this.#atOnce(hits, credentials);
    return result ?? file.ops.exchange!(file, input, output, credentials);
  }

  poll(file: OpenFile, events: number, poller: Poller | null, credentials: Credentials): number {
    for (const fault of this.#hits('poll', file.node, credentials, false) ?? []) {
      if (fault.spec.action.kind === 'hangup') {
        this.#hungUp.set(file, fault);
      } else {
        if (poller !== null) fault.pollQueue.record(poller);
        return 0;
      }
    }
    const hangup = this.#hangupOf(file);
    if (hangup === null) return file.ops.poll(file, events, poller, credentials);
    if (poller !== null) hangup.pollQueue.record(poller);
    const readable = file.readable ? POLLIN | POLLRDNORM : 0;
    return (events & (readable | (file.writable ? POLLOUT : 0))) | POLLHUP;
  }

  setAttributes(node: Node, change: AttributeChange, credentials: Credentials): number {
    const hits = change.sizeBytes === undefined ? null : this.#hits('size', node, credentials, false);
    const result = hits === null ? GOES_ON : this.#atOnce(hits, credentials);
    return result ?? node.setAttributes(change, credentials);
  }

  #hits(
    call: FaultCall,
    node: Node,
    caller: Credentials,
    mayWait: boolean,
    mayBeShort = true,
  ): Fault[] | null {
    return this.#table.hitsOf({ call, node, caller, mayWait, mayBeShort });
  }

  *#open(hits: readonly Fault[], file: OpenFile, call: FaultCall): Operation<number> {
    const result = yield* this.#before(hits, call, file, file.credentials);
    return result ?? (yield* file.node.open(file));
  }

  *#read(hits: readonly Fault[], file: OpenFile, uio: ReadUio, credentials: Credentials): Operation<number> {
    const result = yield* this.#before(hits, 'read', file, credentials);
    if (result !== GOES_ON) return result;
    let mostBytes = leastOf(hits, 'short');
    const pieceBytes = leastOf(hits, 'split');
    if (pieceBytes !== Infinity)
      mostBytes = Math.min(mostBytes, pieceBytes - (endOf(file).traffic.bytesOut % pieceBytes));
    uio.residual = Math.min(uio.residual, mostBytes);
    return yield* file.ops.read(file, uio, credentials);
  }

  *#write(
    hits: readonly Fault[],
    file: OpenFile,
    uio: WriteUio,
    credentials: Credentials,
  ): Operation<number> {
    const result = yield* this.#before(hits, 'write', file, credentials);
    if (result !== GOES_ON) return result;
    uio.withhold(leastOf(hits, 'short'));
    let written = 0;
    for (;;) {
      const laterBytes = uio.withhold(leastOf(hits, 'split'));
      const count = yield* file.ops.write(file, uio, credentials);
      if (count < 0) return written > 0 ? written : count;
      written += count;
      if (laterBytes === 0 || uio.residual > 0 || file.nonBlocking) return written;
      uio.offer(laterBytes);
      if ((yield* pipeDrain(endOf(file).peer)) !== 0) return written;
    }
  }

  /** What the hits do before a call, or in its place: its result, or GOES_ON. */
  *#before(
    hits: readonly Fault[],
    call: FaultCall,
    file: OpenFile | null,
    caller: Credentials,
  ): Operation<number | null> {
    for (const fault of hits) {
      const { action } = fault.spec;
      if (action.kind === 'stall' && file?.nonBlocking === true) return -EAGAIN;
      if (action.kind === 'stall' || action.kind === 'delay') {
        const woken = yield* this.#sleep(fault, action.kind === 'delay' ? action.delayMs : undefined);
        if (woken === WakeReason.Interrupted) return -EINTR;
      } else if (action.kind === 'eof') {
        return 0;
      } else if (action.kind === 'hangup') {
        this.#hungUp.set(file!, fault);
        file!.poller?.wake();
      }
    }
    if (file !== null && this.#hangupOf(file) !== null) return call === 'read' ? 0 : -EPIPE;
    return this.#atOnce(hits, caller);
  }

  /** What the hits do without waiting to any call: its result, or GOES_ON. */
  #atOnce(hits: readonly Fault[], caller: Credentials): number | null {
    for (const fault of hits) {
      const { action } = fault.spec;
      if (action.kind === 'errno') return action.result;
      if (action.kind !== 'signal') continue;
      const sent = this.#host.signalCaller(caller.pid, action.signal, fault.credentials);
      if (sent < 0) fault.takeBackHit();
      else if (sent > 0) return -EINTR;
    }
    return GOES_ON;
  }

  *#sleep(fault: Fault, timeoutMs: number | undefined): Operation<WakeReason> {
    if (fault.isRemoved) return WakeReason.Awakened;
    fault.blockedCalls++;
    const woken = yield* sleep(fault.channel, faultSleep, timeoutMs);
    fault.blockedCalls--;
    return woken;
  }

  /** The fault that has hung up an open file; null when none has, or it has been removed. */
  #hangupOf(file: OpenFile): Fault | null {
    const fault = this.#hungUp.get(file);
    return fault === undefined || fault.isRemoved ? null : fault;
  }
}

function endOf(file: OpenFile): PipeEnd {
  return file.data as PipeEnd;
}
