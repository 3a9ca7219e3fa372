import { EV_ONESHOT, EVFILT_USER } from '../../src/kern/klist.ts';
import {
  type Change,
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISABLE,
  EV_DISPATCH,
  EV_ENABLE,
  type Ident,
  NOTE_TRIGGER,
} from '../../src/kqueue/kevent.ts';

/** One registration, as plainly as the rules put it. */
interface ModelKnote {
  readonly filter: number;
  readonly ident: Ident;
  readonly flags: number;
  isTriggered: boolean;
  isActive: boolean;
  isDisabled: boolean;
  /** It is pending since its own delivery, which wakes nobody. */
  isRequeued: boolean;
}

/** A kqueue with USER knotes and level READ knotes on byte counters: one array for the knotes, one for the pending ones. */
export class KqueueModel {
  /** Oldest first. */
  knotes: ModelKnote[] = [];
  pending: ModelKnote[] = [];
  /** Bytes that can be read, by descriptor. */
  readonly bytes = new Map<Ident, number>();

  find(filter: number, ident: Ident): ModelKnote | undefined {
    return this.knotes.find((knote) => knote.filter === filter && knote.ident === ident);
  }

  #holds(knote: ModelKnote): boolean {
    return knote.filter === EVFILT_USER ? knote.isTriggered : (this.bytes.get(knote.ident) ?? 0) > 0;
  }

  #enqueue(knote: ModelKnote): void {
    if (!knote.isActive || knote.isDisabled || this.pending.includes(knote)) return;
    knote.isRequeued = false;
    this.pending.push(knote);
  }

  #evaluate(knote: ModelKnote): void {
    if (!this.#holds(knote)) return;
    knote.isActive = true;
    this.#enqueue(knote);
  }

  #delete(knote: ModelKnote): void {
    this.knotes = this.knotes.filter((other) => other !== knote);
    this.pending = this.pending.filter((other) => other !== knote);
  }

  /** Whether the change is accepted; otherwise it is ENOENT. */
  apply({ filter, ident, flags, fflags }: Change): boolean {
    let knote = this.find(filter, ident);
    if (knote === undefined) {
      if ((flags & EV_ADD) === 0) return false;
      const isTriggered = (fflags & NOTE_TRIGGER) !== 0;
      knote = { filter, ident, flags, isTriggered, isActive: false, isDisabled: false, isRequeued: false };
      this.knotes.push(knote);
    } else if ((flags & EV_ADD) === 0 && (flags & EV_DELETE) !== 0) {
      this.#delete(knote);
      return true;
    } else if (filter === EVFILT_USER) {
      if ((fflags & NOTE_TRIGGER) !== 0) knote.isTriggered = true;
      if ((flags & EV_CLEAR) !== 0) knote.isTriggered = false;
    }
    this.#evaluate(knote);
    if ((flags & EV_DISABLE) !== 0) knote.isDisabled = true;
    if ((flags & EV_ENABLE) !== 0) {
      knote.isDisabled = false;
      this.#enqueue(knote);
    }
    return true;
  }

  /** Bytes have come or gone on `descriptors`, which are one open file: its knotes are told, newest first. */
  moved(descriptors: readonly Ident[], bytes: number): void {
    for (const descriptor of descriptors) this.bytes.set(descriptor, bytes);
    for (const knote of this.knotes.toReversed()) {
      if (knote.filter !== EVFILT_USER && descriptors.includes(knote.ident)) this.#evaluate(knote);
    }
  }

  closed(descriptors: readonly Ident[]): void {
    for (const descriptor of descriptors) {
      const knote = this.knotes.find((each) => each.filter !== EVFILT_USER && each.ident === descriptor);
      if (knote !== undefined) this.#delete(knote);
      this.bytes.delete(descriptor);
    }
  }

  /** What a call with room for `limit` events takes now. */
  collect(limit: number): Ident[] {
    const taken: Ident[] = [];
    for (const knote of [...this.pending]) {
      if (taken.length === limit) break;
      this.pending.shift();
      if (knote.isDisabled) continue;
      if ((knote.flags & EV_ONESHOT) === 0 && !this.#holds(knote)) {
        knote.isActive = false;
        continue;
      }
      taken.push(knote.ident);
      if (knote.filter === EVFILT_USER && (knote.flags & EV_CLEAR) !== 0) knote.isTriggered = false;
      if ((knote.flags & EV_ONESHOT) !== 0) {
        this.#delete(knote);
      } else if ((knote.flags & (EV_CLEAR | EV_DISPATCH)) !== 0) {
        knote.isActive = false;
        if ((knote.flags & EV_DISPATCH) !== 0) knote.isDisabled = true;
      } else {
        knote.isRequeued = true;
        this.pending.push(knote);
      }
    }
    return taken;
  }

  /** Events that somebody who sleeps should have been woken for. */
  get overlooked(): Ident[] {
    return this.pending
      .filter((knote) => !knote.isDisabled && !knote.isRequeued)
      .filter((knote) => (knote.flags & EV_ONESHOT) !== 0 || this.#holds(knote))
      .map((knote) => knote.ident);
  }
}
