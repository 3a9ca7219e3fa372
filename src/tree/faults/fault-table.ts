import { Resource } from '../../kern/accounting.ts';
import { assert } from '../../kern/assert.ts';
import type { Credentials } from '../../kern/credentials.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { printableWord } from '../../kern/printable.ts';
import type { Node } from '../../vfs/node.ts';
import { KqueueControl, KqueueNode } from '../kqueues.ts';
import { PairEndNode } from '../pairs.ts';
import { PipeNode } from '../pipes.ts';
import { SegmentNode } from '../segments/segment-node.ts';
import { Fault } from './fault.ts';
import { type FaultAction, type FaultCall, isPossible, type ObjectKind } from './fault-actions.ts';
import type { FaultSpec } from './parse-fault.ts';

/** A call that may be hit. */
export interface FaultableCall {
  readonly call: FaultCall;
  readonly node: Node;
  readonly caller: Credentials;
  /** Whether it may sleep: it is no poll, and has no O_NONBLOCK. */
  readonly mayWait: boolean;
  /** Whether it may move a part of its bytes: a write of more than PIPE_BUF, every read. */
  readonly mayBeShort: boolean;
}

/** Calls of other files are never hit. */
export function objectKindOf(node: Node): ObjectKind | null {
  if (node instanceof PipeNode || node instanceof PairEndNode) return 'stream';
  if (node instanceof SegmentNode) return 'segment';
  return node instanceof KqueueNode || node instanceof KqueueControl ? 'queue' : null;
}

/** The path of a node as the tables of info/ show it, in its parts. */
function namesOf(node: Node): readonly string[] {
  return printableWord(node.path).split('/');
}

/** Whether a fault of this action ends the call: those after it do not see it. */
function isFinal({ kind }: FaultAction): boolean {
  return kind === 'errno' || kind === 'eof' || kind === 'hangup' || kind === 'signal';
}

/** The faults of a mount, by the users that have added them. */
export class FaultTable {
  readonly #kernel: Kernel;
  readonly #faults = new Map<number, Fault>();
  readonly #byUid = new Map<number, Set<Fault>>();
  #lastId = 0;
  /** Called when there is a first fault, and when there is none any more. */
  readonly #onActive: (isActive: boolean) => void;
  /** Called with each hit, before the fault does anything: for those who record what happens. */
  onHit: ((fault: Fault, call: FaultableCall) => void) | null = null;

  constructor(kernel: Kernel, onActive: (isActive: boolean) => void) {
    this.#kernel = kernel;
    this.#onActive = onActive;
  }

  /** In the order in which they were added. */
  all(): Iterable<Fault> {
    return this.#faults.values();
  }

  get(id: number): Fault | undefined {
    return this.#faults.get(id);
  }

  /** The new fault, or a negative errno when the user may have no more. */
  add(spec: FaultSpec, credentials: Credentials): Fault | number {
    const account = this.#kernel.accounts.of(credentials.uid);
    const refusal = account.charge(Resource.Faults);
    if (refusal !== 0) return refusal;
    const fault = new Fault(++this.#lastId, spec, credentials, account, this.#kernel);
    this.#faults.set(fault.id, fault);
    const ofUser = this.#byUid.get(fault.uid);
    if (ofUser === undefined) this.#byUid.set(fault.uid, new Set([fault]));
    else ofUser.add(fault);
    if (this.#faults.size === 1) this.#onActive(true);
    return fault;
  }

  /** Calls that sleep for it go on, and pollers look again. */
  remove(fault: Fault): void {
    assert(this.#faults.delete(fault.id), 'a fault is removed once');
    const ofUser = this.#byUid.get(fault.uid)!;
    ofUser.delete(fault);
    if (ofUser.size === 0) this.#byUid.delete(fault.uid);
    fault.isRemoved = true;
    fault.account.release(Resource.Faults);
    if (this.#faults.size === 0) this.#onActive(false);
    fault.channel.wakeup();
    fault.pollQueue.wakeup();
  }

  /**
   * Counts a call for the faults that it matches: root's, then those of the object's owner, each in order. The faults that hit it, the last
   * of which may end it; null for none.
   */
  hitsOf(call: FaultableCall): Fault[] | null {
    const { node } = call;
    const kind = objectKindOf(node);
    if (kind === null) return null;
    // The owner of a segment is the engine's to say.
    if (kind === 'segment') node.refresh();
    const hits: Fault[] = [];
    const isEnded = this.#collect(0, call, kind, hits);
    if (!isEnded && node.uid !== 0) this.#collect(node.uid, call, kind, hits);
    return hits.length === 0 ? null : hits;
  }

  /** Whether a fault of `spec` and `uid` could hit calls on a node. */
  covers({ pattern }: FaultSpec, uid: number, node: Node): boolean {
    return (uid === 0 || uid === node.uid) && pattern.matches(namesOf(node));
  }

  /** Adds the hits of one user's faults; whether one of them ends the call. */
  #collect(uid: number, call: FaultableCall, kind: ObjectKind, hits: Fault[]): boolean {
    const faults = this.#byUid.get(uid);
    if (faults === undefined) return false;
    let names: readonly string[] | null = null;
    for (const fault of faults) {
      const { spec } = fault;
      if (fault.isSpent || (spec.call !== 'any' && spec.call !== call.call)) continue;
      if (!isPossible(spec.action, call.call, kind) || !fits(spec.action, call)) continue;
      names ??= namesOf(call.node);
      if (!spec.pattern.matches(names)) continue;
      if (spec.pid !== 0 && this.#kernel.host.processOf(call.caller.pid) !== spec.pid) continue;
      if (!fault.takeCall()) continue;
      hits.push(fault);
      this.onHit?.(fault, call);
      if (isFinal(spec.action)) return true;
    }
    return false;
  }
}

/** Whether the action could happen to this very call. */
function fits({ kind }: FaultAction, { call, mayWait, mayBeShort }: FaultableCall): boolean {
  switch (kind) {
    case 'short':
    case 'split':
      return mayBeShort;
    case 'delay':
      return mayWait;
    case 'stall':
      // Without waiting a read or a write says EAGAIN, and a poll that nothing is ready. An open does not wait.
      return mayWait || (call !== 'open' && call !== 'attach');
    default:
      return true;
  }
}
