import { setTimeout as delay } from 'node:timers/promises';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node';
import { CommandFailure, remark } from '../failures.ts';
import type { Client } from './client.ts';
import type { Counters } from './counters.ts';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5000;

/** One connection, from its beginning to its loss. Nothing of it is used again afterwards. */
export class Session {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
  /**
   * Resolves with the reason when the connection is lost. Not for Promise.race in a loop: a promise keeps all that has waited for it, and
   * this one may live for months.
   */
  readonly lost: Promise<string>;
  isLost = false;
  #lose!: (reason: string) => void;

  constructor(connection: NatsConnection, { jetstream }: Client, manager: JetStreamManager) {
    this.connection = connection;
    this.jetstream = jetstream.jetstream(connection);
    this.manager = manager;
    this.lost = new Promise((resolve) => {
      this.#lose = (reason) => {
        this.isLost = true;
        resolve(reason);
      };
    });
    void connection.closed().then((error) => {
      this.fail(error instanceof Error ? error.message : 'the server has closed the connection');
    });
  }

  /** Gives the connection up: something that must have come has not. */
  fail(reason: string): void {
    if (this.isLost) return;
    this.#lose(reason);
    // Closing waits for the peer, which may be out of reach.
    this.connection.close().catch(() => undefined);
  }
}

/** What uses the sessions, one after the other. */
export interface SessionUser {
  /**
   * Begins to use a new session. A CommandFailure ends the bridge; with any other error the session counts as lost. The user looks at
   * `isLost` by itself.
   */
  attach(session: Session): Promise<void>;
}

/** Connects again and again, and says so. Ends with a CommandFailure only. */
export async function keepConnected(
  client: Client,
  options: NodeConnectionOptions,
  user: SessionUser,
  counters: Counters,
): Promise<never> {
  let trouble: string | null = null;
  let delayMs = FIRST_DELAY_MS;
  for (;;) {
    let reason: string;
    try {
      const session = await begin(client, options);
      try {
        await user.attach(session);
        if (trouble !== null) remark(`connected to ${session.connection.getServer()} again`);
        trouble = null;
        delayMs = FIRST_DELAY_MS;
        counters.connected.set(1);
        counters.sessions.add(1);
      } catch (error) {
        if (error instanceof CommandFailure) throw error;
        session.fail((error as Error).message);
      }
      reason = await session.lost;
    } catch (error) {
      if (error instanceof CommandFailure) throw error;
      if (isRefused(client, error)) throw refusalOf(error as Error);
      reason = reasonOf(error as Error);
    }
    counters.connected.set(0);
    if (trouble !== reason) remark(`no connection: ${reason}: trying again`);
    trouble = reason;
    await delay(delayMs * (0.5 + Math.random() / 2));
    delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS);
  }
}

/** What OpenSSL says has the place in its source, and a line break. */
function reasonOf({ message }: Error): string {
  return /SSL routines:[^:]*:([^:]+):/.exec(message)?.[1] ?? message;
}

async function begin(client: Client, options: NodeConnectionOptions): Promise<Session> {
  const connection = await client.transport.connect({ ...options });
  try {
    const manager = await client.jetstream.jetstreamManager(connection, { checkAPI: false });
    return new Session(connection, client, manager);
  } catch (error) {
    connection.close().catch(() => undefined);
    throw error;
  }
}

/** Whether trying again is of no use. */
function isRefused({ transport: { errors } }: Client, error: unknown): boolean {
  return error instanceof errors.AuthorizationError || error instanceof errors.InvalidArgumentError;
}

function refusalOf(error: Error): CommandFailure {
  return new CommandFailure(
    `the server refuses the connection (${error.message}): give credentials with --creds or --connection`,
  );
}
