import { setTimeout as delay } from 'node:timers/promises';
import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream';
import { CommandFailure } from '../failures.ts';
import type { Client } from './client.ts';
import type { Counters } from './counters.ts';
import type { RecordSink } from './records.ts';
import type { Session, SessionUser } from './sessions.ts';
import { Signal } from './signal.ts';
import { ensureStream, type StreamSettings } from './streams.ts';

const FETCH_EXPIRES_MS = 5000;
const ACK_TIMEOUT_MS = 5000;
const SHORTEST_LOOK_MS = 1;
const LONGEST_LOOK_MS = 100;
/** Of all bridges together. */
const MAX_ACK_PENDING = 20_000;

/** How often in the time of a silence that is too long. */
const BEATS_PER_WAIT = 3;

const ACK = '+ACK';
const IN_PROGRESS = '+WPI';
const NOT_TAKEN = '-NAK';

export interface WorkSettings extends StreamSettings {
  /** The consumer that all workers share. */
  readonly consumer: string;
  readonly ackWaitMs: number;
}

/** A message that is with this bridge and not acknowledged. */
interface Held {
  readonly bytes: Uint8Array;
  /** Where it is acknowledged: the newest delivery counts. */
  reply: string;
  /** Position among all records put into the sink, from 1; 0 while it waits for room. */
  position: number;
  isRead: boolean;
}

/**
 * Messages become records in a pipe, each for one worker of all machines. A message is acknowledged when a reader has taken its record,
 * and forgotten when the server has confirmed that. Until then it is known by its sequence: one that comes again, since a connection was
 * lost, is not put into the pipe a second time.
 */
export class WorkInbound implements SessionUser {
  readonly mustEndBySignal = false;
  readonly #client: Client;
  readonly #sink: RecordSink;
  readonly #settings: WorkSettings;
  readonly #windowSize: number;
  readonly #counters: Counters;
  readonly #held = new Map<number, Held>();
  readonly #queue: Held[] = [];
  readonly #changed = new Signal();
  #session: Session | null = null;
  #messages: ConsumerMessages | null = null;
  #isStopping = false;
  #beatMs = 0;

  constructor(
    client: Client,
    sink: RecordSink,
    settings: WorkSettings,
    windowSize: number,
    counters: Counters,
  ) {
    this.#client = client;
    this.#sink = sink;
    this.#settings = settings;
    this.#windowSize = windowSize;
    this.#counters = counters;
  }

  async attach(session: Session): Promise<void> {
    await ensureStream(this.#client, session, this.#settings);
    await this.#ensureConsumer(session);
    this.#session = session;
    for (const [sequence, held] of this.#held) if (held.isRead) this.#acknowledge(session, sequence, held);
    this.#beat(session);
    void session.lost.then(() => {
      this.#changed.raise();
    });
    this.#receive(session).catch((error: unknown) => {
      session.fail((error as Error).message);
    });
  }

  async run(): Promise<void> {
    await Promise.all([this.#fill(), this.#watch()]);
  }

  /** Takes no more messages, gives those without a record back, and waits until readers have all records. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#messages?.stop();
    const queued = new Set(this.#queue.splice(0));
    for (const [sequence, held] of this.#held) {
      if (!queued.has(held)) continue;
      this.#held.delete(sequence);
      this.#respond(held, NOT_TAKEN);
    }
    await this.#session?.connection.flush().catch(() => undefined);
    while (this.#held.size > 0) await this.#changed.next();
  }

  async #ensureConsumer({ manager }: Session): Promise<void> {
    const { name, consumer, ackWaitMs, subject } = this.#settings;
    const { AckPolicy, DeliverPolicy, JetStreamApiError } = this.#client.jetstream;
    try {
      const { config } = await manager.consumers.add(name, {
        durable_name: consumer,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        ack_wait: this.#client.transport.nanos(ackWaitMs),
        max_ack_pending: MAX_ACK_PENDING,
        filter_subject: subject,
      });
      // A consumer that exists may have another than ours.
      this.#beatMs = this.#client.transport.millis(config.ack_wait ?? 0) / BEATS_PER_WAIT;
    } catch (error) {
      if (!(error instanceof JetStreamApiError)) throw error;
      throw new CommandFailure(
        `the stream ${name} does not give the workers '${consumer}' a share: ${error.message}: use the name that the others use`,
      );
    }
  }

  /** Fetches messages while there is room for them. */
  async #receive(session: Session): Promise<void> {
    const { name, consumer } = this.#settings;
    const source = await session.jetstream.consumers.get(name, consumer);
    while (!session.isLost && !this.#isStopping) {
      const room = this.#windowSize - this.#held.size;
      if (room * 2 < this.#windowSize) {
        await this.#changed.next();
        continue;
      }
      this.#messages = await source.fetch({ max_messages: room, expires: FETCH_EXPIRES_MS });
      for await (const message of this.#messages) {
        this.#received(session, message.seq, message.data, replyOf(message));
      }
    }
  }

  #received(session: Session, sequence: number, bytes: Uint8Array, reply: string): void {
    const known = this.#held.get(sequence);
    if (known !== undefined) {
      known.reply = reply;
      this.#counters.repeated.add(1);
      if (known.isRead) this.#acknowledge(session, sequence, known);
      return;
    }
    // The message may be a view of all that has arrived with it.
    const held = { bytes: bytes.slice(), reply, position: 0, isRead: false };
    this.#held.set(sequence, held);
    this.#counters.inFlight.set(this.#held.size);
    this.#queue.push(held);
    this.#changed.raise();
  }

  /** Puts what comes into the pipe, which waits for room. */
  async #fill(): Promise<void> {
    let position = 0;
    for (;;) {
      if (this.#queue.length === 0) {
        await this.#changed.next();
        continue;
      }
      const batch = this.#queue.splice(0);
      await this.#sink.put(batch.map(({ bytes }) => bytes));
      for (const held of batch) held.position = ++position;
      this.#changed.raise();
    }
  }

  /** Looks which records have been read: without a pause while somebody reads, then less and less often. */
  async #watch(): Promise<void> {
    let lookMs = SHORTEST_LOOK_MS;
    for (;;) {
      const waiting = [...this.#held].filter(([, { position, isRead }]) => position > 0 && !isRead);
      if (waiting.length === 0) {
        await this.#changed.next();
        lookMs = SHORTEST_LOOK_MS;
        continue;
      }
      const readCount = await this.#sink.readCount();
      const read = waiting.filter(([, { position }]) => position <= readCount);
      for (const [sequence, held] of read) {
        held.isRead = true;
        if (this.#session !== null && !this.#session.isLost) this.#acknowledge(this.#session, sequence, held);
      }
      if (read.length > 0) {
        lookMs = SHORTEST_LOOK_MS;
        continue;
      }
      await delay(lookMs);
      lookMs = Math.min(lookMs * 2, LONGEST_LOOK_MS);
    }
  }

  #acknowledge(session: Session, sequence: number, held: Held): void {
    session.connection.request(held.reply, ACK, { timeout: ACK_TIMEOUT_MS }).then(
      () => {
        if (!this.#held.delete(sequence)) return;
        this.#counters.records.add(1);
        this.#counters.bytes.add(held.bytes.length);
        this.#counters.inFlight.set(this.#held.size);
        this.#changed.raise();
      },
      (error: unknown) => {
        session.fail((error as Error).message);
      },
    );
  }

  /** Says again and again that the messages are being worked on, so that nobody else gets them. */
  #beat(session: Session): void {
    const timer = setInterval(() => {
      for (const held of this.#held.values()) this.#respond(held, IN_PROGRESS);
    }, this.#beatMs);
    void session.lost.then(() => {
      clearInterval(timer);
    });
  }

  #respond({ reply }: Held, answer: string): void {
    if (this.#session !== null && !this.#session.isLost) this.#session.connection.publish(reply, answer);
  }
}

/** Where a message is acknowledged. The client's own calls do that on the connection that brought it, which may be lost. */
function replyOf(message: JsMsg): string {
  return (message as JsMsg & { readonly reply: string }).reply;
}
