import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

/** Publishes, or messages of one fetch, under way at a time: enough to keep the server busy. */
const WINDOW = 256;
const CONNECT_ATTEMPTS = 100;
const CONNECT_DELAY_MS = 50;
const CONSUMER = 'workers';

/** A NATS server with JetStream on the loopback interface, and the bare client on it, for the time of a benchmark. */
export class NatsPeer {
  readonly #directory: string;
  readonly #server: ChildProcess;
  readonly #port: number;
  readonly #connection: NatsConnection;
  readonly #client: JetStreamClient;
  readonly manager: JetStreamManager;

  private constructor(
    { directory, server, port }: { directory: string; server: ChildProcess; port: number },
    connection: NatsConnection,
    { client, manager }: { client: JetStreamClient; manager: JetStreamManager },
  ) {
    this.#directory = directory;
    this.#server = server;
    this.#port = port;
    this.#connection = connection;
    this.#client = client;
    this.manager = manager;
  }

  /** Starts the server; or why it cannot be had here. */
  static async start(): Promise<NatsPeer | string> {
    // Debian's place for daemons may not be in a user's PATH.
    const program = ['nats-server', '/usr/sbin/nats-server'].find(
      (candidate) => spawnSync(candidate, ['--version']).status === 0,
    );
    if (program === undefined) return 'needs nats-server';
    const { connect } = await import('@nats-io/transport-node');
    const { jetstream, jetstreamManager } = await import('@nats-io/jetstream');
    const directory = mkdtempSync(join(tmpdir(), 'ipcfs-bench-nats-'));
    const port = await freePort();
    const server = spawn(program, ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', directory], {
      stdio: 'ignore',
    });
    for (let attempt = 0; ; attempt++) {
      try {
        const connection = await connect({ servers: `127.0.0.1:${port}` });
        const manager = await jetstreamManager(connection);
        return new NatsPeer({ directory, server, port }, connection, {
          client: jetstream(connection),
          manager,
        });
      } catch (error) {
        if (attempt === CONNECT_ATTEMPTS) throw error;
        await delay(CONNECT_DELAY_MS);
      }
    }
  }

  /** What a bridge connects to. */
  url(subject: string): string {
    return `nats://127.0.0.1:${this.#port}/${subject}`;
  }

  async addStream(name: string): Promise<void> {
    const { RetentionPolicy, DiscardPolicy } = await import('@nats-io/jetstream');
    await this.manager.streams.add({
      name,
      subjects: [name],
      retention: RetentionPolicy.Workqueue,
      discard: DiscardPolicy.New,
    });
  }

  /** Publishes `count` messages, each acknowledged by the stream. */
  async publish(subject: string, bytes: Uint8Array, count: number): Promise<void> {
    let left = count;
    const publishNext = async (): Promise<void> => {
      while (left-- > 0) await this.#client.publish(subject, bytes);
    };
    await Promise.all(Array.from({ length: WINDOW }, publishNext));
  }

  /** Receives and acknowledges `count` messages. */
  async consume(stream: string, count: number): Promise<void> {
    const { AckPolicy } = await import('@nats-io/jetstream');
    await this.manager.consumers.add(stream, { durable_name: CONSUMER, ack_policy: AckPolicy.Explicit });
    const consumer = await this.#client.consumers.get(stream, CONSUMER);
    for (let left = count; left > 0;) {
      for await (const message of await consumer.fetch({ max_messages: Math.min(left, WINDOW) })) {
        message.ack();
        left--;
      }
    }
    await this.#connection.flush();
  }

  async stop(): Promise<void> {
    await this.#connection.close();
    const end = once(this.#server, 'close');
    this.#server.kill('SIGKILL');
    await end;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** A port of the loopback interface that nobody has at this moment. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
