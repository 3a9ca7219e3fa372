import type { ConsumerConfig, ConsumerMessages } from '@nats-io/jetstream';
import type { StartPosition } from './bridge-options.ts';
import type { Client } from './client.ts';
import type { Counters } from './counters.ts';
import { readPosition, writePosition } from './positions.ts';
import type { RecordSink } from './records.ts';
import type { Session, SessionUser } from './sessions.ts';
import { Signal } from './signal.ts';
import { ensureStream, type StreamSettings } from './streams.ts';

const FETCH_EXPIRES_MS = 5000;
/** After this the server forgets a reader that does not ask any more. */
const INACTIVE_MS = 60_000;

export interface LogSettings extends StreamSettings {
  /** The name under which the position is kept; null for a reader that begins anew each time. */
  readonly durable: string | null;
  readonly from: StartPosition;
}

/**
 * All messages of a stream become records in a pipe, in order. Each session has a consumer of its own, which begins behind the last
 * message that has arrived: nothing is acknowledged one by one, and nothing comes twice. The position is stored on the server when the
 * pipe has the record.
 */
export class LogInbound implements SessionUser {
  readonly mustEndBySignal = false;
  readonly #client: Client;
  readonly #sink: RecordSink;
  readonly #settings: LogSettings;
  readonly #windowSize: number;
  readonly #counters: Counters;
  readonly #queue: { readonly sequence: number; readonly bytes: Uint8Array }[] = [];
  readonly #changed = new Signal();
  #session: Session | null = null;
  #messages: ConsumerMessages | null = null;
  /** Sequence of the last message that has arrived; null before the first session. */
  #arrived: number | null = null;
  /** Sequence of the last message that is in the pipe, and of the last one that the server knows of. */
  #stored = 0;
  #saved = 0;
  #isSaving = false;
  #isPutting = false;
  #isStopping = false;

  constructor(
    client: Client,
    sink: RecordSink,
    settings: LogSettings,
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
    const { name, durable } = this.#settings;
    if (this.#arrived === null && durable !== null) {
      this.#arrived = await readPosition(this.#client, session, name, durable);
      this.#saved = this.#stored = this.#arrived ?? 0;
    }
    const consumer = await this.#addConsumer(session);
    this.#session = session;
    this.#save();
    void session.lost.then(() => {
      this.#changed.raise();
    });
    this.#receive(session, consumer).catch((error: unknown) => {
      session.fail((error as Error).message);
    });
  }

  /** Puts what comes into the pipe. */
  async run(): Promise<void> {
    for (;;) {
      const last = this.#queue.at(-1);
      if (last === undefined) {
        await this.#changed.next();
        continue;
      }
      const records = this.#queue.splice(0).map(({ bytes }) => bytes);
      this.#isPutting = true;
      await this.#sink.put(records);
      this.#isPutting = false;
      this.#stored = last.sequence;
      this.#counters.records.add(records.length);
      this.#counters.bytes.add(records.reduce((sum, { length }) => sum + length, 0));
      this.#counters.inFlight.set(this.#queue.length);
      this.#save();
      this.#changed.raise();
    }
  }

  /** Takes no more messages, and waits until the pipe has what has come and the server the position. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#messages?.stop();
    this.#queue.length = 0;
    while (this.#isPutting || this.#saved < this.#stored) await this.#changed.next();
  }

  async #addConsumer({ manager }: Session): Promise<string> {
    const { name, subject } = this.#settings;
    const { AckPolicy } = this.#client.jetstream;
    const info = await manager.consumers.add(name, {
      ack_policy: AckPolicy.None,
      filter_subject: subject,
      mem_storage: true,
      inactive_threshold: this.#client.transport.nanos(INACTIVE_MS),
      ...this.#start(),
    });
    // Where a reader of what is new begins counts also if the first session ends before a message comes.
    this.#arrived ??= info.delivered.stream_seq;
    return info.name;
  }

  #start(): Partial<ConsumerConfig> {
    const { DeliverPolicy } = this.#client.jetstream;
    const { from } = this.#settings;
    if (this.#arrived === null && from === 'new') return { deliver_policy: DeliverPolicy.New };
    const first = this.#arrived === null ? from : this.#arrived + 1;
    if (first === 'all' || first === 'new') return { deliver_policy: DeliverPolicy.All };
    return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: first };
  }

  async #receive(session: Session, consumer: string): Promise<void> {
    const source = await session.jetstream.consumers.get(this.#settings.name, consumer);
    while (!session.isLost && !this.#isStopping) {
      const room = this.#windowSize - this.#queue.length;
      if (room * 2 < this.#windowSize) {
        await this.#changed.next();
        continue;
      }
      this.#messages = await source.fetch({ max_messages: room, expires: FETCH_EXPIRES_MS });
      for await (const { seq, data, info } of this.#messages) {
        // A message that the reader is not told of has been dropped; numbers of other subjects are counted by the consumer alone.
        if (info.deliverySequence === 1) this.#countMissed(seq);
        this.#arrived = seq;
        // The message may be a view of all that has arrived with it.
        this.#queue.push({ sequence: seq, bytes: data.slice() });
        this.#counters.inFlight.set(this.#queue.length);
        this.#changed.raise();
      }
    }
  }

  #countMissed(sequence: number): void {
    const missed = sequence - (this.#arrived ?? sequence) - 1;
    if (missed > 0 && this.#arrived !== 0) this.#counters.missed.add(missed);
  }

  /** Tells the server the position, once at a time: what is stored meanwhile goes with the next one. */
  #save(): void {
    const { name, durable } = this.#settings;
    const session = this.#session;
    if (durable === null) this.#saved = this.#stored;
    if (
      this.#isSaving ||
      this.#saved >= this.#stored ||
      session === null ||
      session.isLost ||
      durable === null
    )
      return;
    const stored = this.#stored;
    this.#isSaving = true;
    writePosition(session, name, durable, stored)
      .then(
        () => {
          this.#saved = stored;
        },
        (error: unknown) => {
          session.fail((error as Error).message);
        },
      )
      .finally(() => {
        this.#isSaving = false;
        this.#changed.raise();
        this.#save();
      });
  }
}
