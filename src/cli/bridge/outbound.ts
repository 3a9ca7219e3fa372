import { setTimeout as delay } from 'node:timers/promises';
import type { PubAck } from '@nats-io/jetstream';
import { CommandFailure, remark } from '../failures.ts';
import type { Client } from './client.ts';
import type { Counters } from './counters.ts';
import type { RecordSource, TakenRecord } from './records.ts';
import type { Session, SessionUser } from './sessions.ts';
import { isBounded, type StreamSettings, ensureStream } from './streams.ts';
import { Signal } from './signal.ts';

const PUBLISH_TIMEOUT_MS = 5000;
/** How long a stream that took no record is left alone. */
const REFUSED_DELAY_MS = 250;
/** The server's own number for a message that its limits never allow. */
const MESSAGE_TOO_LARGE = 10_054;

interface Sent {
  readonly record: TakenRecord;
  readonly id: string;
}

/**
 * Records of a pipe become messages. Up to a window of them is under way; each is finished when the stream has stored it. A new session
 * sends the whole window again, in order and under the same ids, by which the server knows those that it has: the order in the stream
 * is that of the pipe, and only a bridge that is killed leaves duplicates.
 */
export class Outbound implements SessionUser {
  readonly #client: Client;
  readonly #source: RecordSource;
  readonly #settings: StreamSettings;
  readonly #counters: Counters;
  readonly #windowSize: number;
  readonly #prefix: string;
  #lastNumber = 0;
  /** Not acknowledged, in order. */
  readonly #window = new Map<string, Sent>();
  readonly #changed = new Signal();
  #session: Session | null = null;
  /** Counts how often the window was sent: what fails of an earlier time does not matter any more. */
  #round = 0;
  #isBounded = false;
  #isStopping = false;
  readonly #failed: Promise<never>;
  #fail!: (failure: CommandFailure) => void;

  constructor(
    client: Client,
    source: RecordSource,
    settings: StreamSettings,
    windowSize: number,
    counters: Counters,
  ) {
    this.#client = client;
    this.#source = source;
    this.#settings = settings;
    this.#windowSize = windowSize;
    this.#counters = counters;
    this.#prefix = client.transport.nuid.next();
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
  }

  get mustEndBySignal(): boolean {
    return this.#source.hasUnfinished;
  }

  async attach(session: Session): Promise<void> {
    // A stream that may refuse one record and take the next would change their order: then there is one at a time.
    this.#isBounded = isBounded(await ensureStream(this.#client, session, this.#settings));
    this.#session = session;
    this.#sendAll(session);
    this.#changed.raise();
  }

  /** Takes and sends records, from the first session on; fails with a CommandFailure. */
  run(): Promise<void> {
    return Promise.race([this.#takeAll(), this.#failed]);
  }

  async #takeAll(): Promise<void> {
    while (this.#session === null) await this.#changed.next();
    for (;;) {
      while (this.#window.size >= (this.#isBounded ? 1 : this.#windowSize)) await this.#changed.next();
      if (this.#isStopping) return;
      const record = await this.#source.take();
      const sent = { record, id: `${this.#prefix}-${++this.#lastNumber}` };
      this.#window.set(sent.id, sent);
      this.#counters.inFlight.set(this.#window.size);
      if (!this.#session.isLost) this.#send(this.#session, sent, this.#round);
    }
  }

  /** Takes no more records, and waits until the stream has all that were taken. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    while (this.#window.size > 0) await this.#changed.next();
    await this.#source.close();
  }

  #sendAll(session: Session): void {
    const round = ++this.#round;
    for (const sent of this.#window.values()) this.#send(session, sent, round);
  }

  #send(session: Session, sent: Sent, round: number): void {
    session.jetstream
      .publish(this.#settings.subject, sent.record.bytes, { msgID: sent.id, timeout: PUBLISH_TIMEOUT_MS })
      .then(
        (ack) => {
          this.#acknowledged(sent, ack);
        },
        (error: unknown) => {
          if (round === this.#round && this.#window.has(sent.id))
            this.#notStored(session, sent, error as Error);
        },
      );
  }

  #acknowledged({ id, record }: Sent, { duplicate }: PubAck): void {
    if (!this.#window.delete(id)) return;
    record.finish();
    const { records, bytes, repeated, inFlight } = this.#counters;
    records.add(1);
    bytes.add(record.bytes.length);
    if (duplicate) repeated.add(1);
    inFlight.set(this.#window.size);
    this.#changed.raise();
  }

  #notStored(session: Session, { record }: Sent, error: Error): void {
    const { transport, jetstream } = this.#client;
    const code = error instanceof jetstream.JetStreamApiError ? error.code : 0;
    if (code === MESSAGE_TOO_LARGE || error instanceof transport.errors.InvalidArgumentError) {
      this.#fail(
        new CommandFailure(
          `a record of ${record.bytes.length} bytes is more than the server takes (${error.message}): raise its max_payload, or take the record out of the pipe`,
        ),
      );
      return;
    }
    if (code === 0) {
      session.fail(error.message);
      return;
    }
    this.#counters.refused.add(1);
    if (this.#counters.refused.value === 1)
      remark(`the stream takes no record: ${error.message}: trying again`);
    const round = ++this.#round;
    void delay(REFUSED_DELAY_MS).then(() => {
      if (round === this.#round && !session.isLost) this.#sendAll(session);
    });
  }
}
