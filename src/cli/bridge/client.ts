import { readFileSync } from 'node:fs';
import type * as JetStream from '@nats-io/jetstream';
import type * as Transport from '@nats-io/transport-node';
import { CommandFailure, UsageFailure } from '../failures.ts';
import type { BridgeCommandOptions, Target } from './bridge-options.ts';

/** NATS's client. The packages are optional: only this command needs them. */
export interface Client {
  readonly transport: typeof Transport;
  readonly jetstream: typeof JetStream;
}

export async function loadClient(): Promise<Client> {
  try {
    const [transport, jetstream] = await Promise.all([
      import('@nats-io/transport-node'),
      import('@nats-io/jetstream'),
    ]);
    return { transport, jetstream };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new CommandFailure(
      "bridges need NATS's client: run 'npm install @nats-io/transport-node @nats-io/jetstream' where ipcfs is installed (-g if it is global)",
    );
  }
}

/** A connection that does not answer for two of these is lost. */
const PING_INTERVAL_MS = 5000;
const CONNECT_TIMEOUT_MS = 5000;

/** What the client is given: the file's options, those of the URL, and ours, which say that a lost connection is not mended. */
export function connectionOptions(
  { transport }: Client,
  { servers, isEncrypted, user, pass, token }: Target,
  { creds, connection }: BridgeCommandOptions,
): Transport.NodeConnectionOptions {
  const identity = {
    ...(user !== undefined && { user }),
    ...(pass !== undefined && { pass }),
    ...(token !== undefined && { token }),
    ...(creds !== undefined && { authenticator: transport.credsAuthenticator(readBytes('--creds', creds)) }),
  };
  const given = connection === undefined ? {} : readJson(connection);
  return {
    name: 'ipcfs bridge',
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    ...given,
    // Without options of TLS the client would go on in plain text where the server offers no encryption.
    ...(isEncrypted && { tls: given.tls ?? {} }),
    ...identity,
    servers: [...servers],
    reconnect: false,
  };
}

function readBytes(option: string, file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new UsageFailure(
      `${option}: ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? ''})`,
    );
  }
}

function readJson(file: string): Transport.NodeConnectionOptions {
  const text = Buffer.from(readBytes('--connection', file)).toString();
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below.
  }
  throw new UsageFailure(`--connection: ${file} is no JSON object, as {"user":"a","pass":"b"}`);
}
