import { assert } from '../../kern/assert.ts';
import { type Credentials, rootCredentials } from '../../kern/credentials.ts';
import { ESRCH } from '../../kern/errno.ts';
import type { File } from '../../kern/file.ts';
import { ProcessEventKind, type ProcessWatcher } from '../../kern/process-events.ts';
import type { ReadUio } from '../../kern/uio.ts';
import { ByteDelivery } from './byte-delivery.ts';
import type { Queue } from './queue.ts';

/** The bytes that a process has taken and not written back. */
class Holder implements ProcessWatcher {
  readonly pid: number;
  readonly tokens: number[] = [];
  readonly #onEnd: (holder: Holder) => void;

  constructor(pid: number, onEnd: (holder: Holder) => void) {
    this.pid = pid;
    this.#onEnd = onEnd;
  }

  exited(): void {
    this.#onEnd(this);
  }

  forked(): void {
    // A child has no tokens.
  }

  executed(): void {
    // The process stays.
  }

  signalled(): void {
    // What becomes of it is told otherwise.
  }
}

/**
 * Bytes are tokens of a jobserver: what a process has taken is its own until it writes as many bytes, or ends. Then they come back. The ring
 * keeps room for those that are out.
 */
export class TokenDelivery extends ByteDelivery {
  readonly #queue: Queue;
  readonly #holders = new Map<number, Holder>();
  #outCount = 0;

  constructor(queue: Queue) {
    super(queue);
    this.#queue = queue;
  }

  override get reservedBytes(): number {
    return this.#outCount;
  }

  override take(file: File, uio: ReadUio, credentials: Credentials): number {
    const { pid } = credentials;
    const tokens = this.#queue.ring.peek(uio.residual);
    const taken = super.take(file, uio, credentials);
    if (taken <= 0 || pid === 0) return taken;
    this.#give(pid, tokens.subarray(0, taken));
    return taken;
  }

  override wrote(_file: File, { pid }: Credentials, sizeBytes: number): void {
    if (this.#holders.size === 0) return;
    const { host } = this.#queue.end.pair.subsystem.kernel;
    const holder = this.#holders.get(pid) ?? this.#holders.get(host.processOf(pid));
    if (holder === undefined) return;
    const count = Math.min(sizeBytes, holder.tokens.length);
    holder.tokens.length -= count;
    this.#outCount -= count;
    if (holder.tokens.length > 0) return;
    this.#holders.delete(holder.pid);
    this.#unwatch(holder);
  }

  override end(): void {
    for (const holder of this.#holders.values()) this.#unwatch(holder);
    this.#holders.clear();
    this.#outCount = 0;
  }

  #give(thread: number, tokens: Uint8Array): void {
    const { kernel, processEvents } = this.#queue.end.pair.subsystem;
    const pid = this.#holders.has(thread) ? thread : kernel.host.processOf(thread);
    const known = this.#holders.get(pid);
    const holder = known ?? new Holder(pid, this.#ended);
    for (const token of tokens) holder.tokens.push(token);
    this.#outCount += tokens.length;
    if (known !== undefined) return;
    this.#holders.set(pid, holder);
    // A signal may end the process while it reads. Where nobody can tell, its tokens stay out as they do anywhere else.
    const error = processEvents?.watch(pid, ProcessEventKind.Exit, holder, rootCredentials);
    if (error === -ESRCH) this.#ended(holder);
  }

  #unwatch(holder: Holder): void {
    this.#queue.end.pair.subsystem.processEvents?.unwatch(holder.pid, holder);
  }

  readonly #ended = (holder: Holder): void => {
    if (this.#holders.get(holder.pid) !== holder) return;
    this.#holders.delete(holder.pid);
    this.#outCount -= holder.tokens.length;
    this.#queue.putBack(Uint8Array.from(holder.tokens));
  };

  override checkInvariants(): void {
    let count = 0;
    for (const { tokens } of this.#holders.values()) count += tokens.length;
    assert(count === this.#outCount, 'the tokens that are out add up');
  }
}
