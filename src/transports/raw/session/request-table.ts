import { assert } from '../../../kern/assert.ts';
import { type Scheduler, ThreadState } from '../../../kern/scheduler.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import type { Request } from '../protocol/request.ts';
import { InFlight, type RequestServer } from './in-flight.ts';
import type { OpenHandles } from './open-handles.ts';
import type { SleepingWrites } from './sleeping-writes.ts';

/** The requests that are not answered: that which is served now, and those whose operations sleep. */
export class RequestTable {
  readonly #scheduler: Scheduler;
  readonly #handles: OpenHandles;
  readonly #writes: SleepingWrites;
  readonly #server: RequestServer;
  /** Requests whose operation sleeps or is about to go on, by unique. */
  readonly #sleeping = new Map<number, InFlight>();
  /** Used again and again, as long as requests are answered without sleeping. */
  #spare: InFlight;

  constructor(scheduler: Scheduler, handles: OpenHandles, writes: SleepingWrites, server: RequestServer) {
    this.#scheduler = scheduler;
    this.#handles = handles;
    this.#writes = writes;
    this.#server = server;
    this.#spare = new InFlight(server);
  }

  get size(): number {
    return this.#sleeping.size;
  }

  get(unique: number): InFlight | undefined {
    return this.#sleeping.get(unique);
  }

  all(): Iterable<InFlight> {
    return this.#sleeping.values();
  }

  /** A request that has arrived. */
  begin(request: Request, receivedMs: number): InFlight {
    this.#spare.begin(request, receivedMs);
    return this.#spare;
  }

  /** Leaves `request` as it is: the next one gets another object. */
  keep(request: InFlight): void {
    if (request === this.#spare) this.#spare = new InFlight(this.#server);
  }

  /** The operation of `request` has ended without sleeping, and holds nothing any more. */
  reuse(request: InFlight): void {
    if (request !== this.#spare) return;
    request.state = ThreadState.New;
    request.operation = null;
    request.file = null;
    request.released = null;
    request.source = null;
  }

  /** The operation of `request` has gone to sleep. */
  slept(request: InFlight): void {
    this.keep(request);
    request.hasSlept = true;
    if (request.file !== null) this.#handles.slept(request.file);
    if (this.#sleeping.has(request.unique)) {
      // No kernel gives one unique to two requests: an interrupt could not say which one it means.
      this.#scheduler.interrupt(request);
    } else {
      this.#sleeping.set(request.unique, request);
    }
    if (request.source !== null) this.#writes.slept(request);
  }

  /** The operation of `request` has ended. */
  woke(request: InFlight): void {
    if (!request.hasSlept) return;
    if (request.source !== null) this.#writes.ended(request);
    if (request.file !== null) this.#handles.ended(request.file);
    if (this.#sleeping.get(request.unique) === request) this.#sleeping.delete(request.unique);
  }

  /** Keeps a request whose answer waits for something else: the kernel may send it again. */
  postpone(request: InFlight): void {
    this.keep(request);
    this.#sleeping.set(request.unique, request);
  }

  /** Undoes `postpone`. */
  resume(request: InFlight): void {
    this.#sleeping.delete(request.unique);
  }

  /** FUSE_INTERRUPT: ends the sleep of the request `unique`; false when it is not known. */
  interrupt(unique: number): boolean {
    const request = this.#sleeping.get(unique);
    if (request === undefined) return false;
    this.#scheduler.interrupt(request);
    return true;
  }

  /** Ends every sleep that a signal could end. */
  interruptAll(): void {
    for (const request of [...this.#sleeping.values()]) this.#scheduler.interrupt(request);
  }

  /** Repeats the invariants between two requests; called after every step in tests. */
  checkInvariants(): void {
    const sleepers = new Map<OpenFile, number>();
    for (const [unique, request] of this.#sleeping) {
      assert(request.unique === unique && request.hasSlept, 'a request in flight is found by its unique');
      assert(request.state === ThreadState.Sleeping, 'a request in flight sleeps between two requests');
      const { file } = request;
      if (file !== null) sleepers.set(file, (sleepers.get(file) ?? 0) + 1);
    }
    this.#handles.checkInvariants(sleepers);
    const { state, file, source, account } = this.#spare;
    assert(state === ThreadState.New && account === null, 'the spare request runs nothing');
    assert(file === null && source === null, 'the spare request holds nothing of the last one');
    this.#writes.checkInvariants(new Set(this.#sleeping.values()));
  }
}
