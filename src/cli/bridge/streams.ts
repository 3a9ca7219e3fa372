import type { StreamConfig } from '@nats-io/jetstream';
import { CommandFailure } from '../failures.ts';
import type { Role } from './bridge-options.ts';
import type { Client } from './client.ts';
import type { Session } from './sessions.ts';

export interface StreamSettings {
  readonly role: Role;
  readonly subject: string;
  readonly name: string;
  /** Size of a stream that is created; 0 for no limit. */
  readonly maxBytes: number;
}

/** How long a broadcast is kept for machines that are away, in milliseconds. */
export const BROADCAST_AGE_MS = 3_600_000;

/** Creates the stream unless it exists; its configuration. Fails with a CommandFailure when it does not suit the role. */
export async function ensureStream(
  { transport, jetstream }: Client,
  { manager }: Session,
  { role, subject, name, maxBytes }: StreamSettings,
): Promise<StreamConfig> {
  const { RetentionPolicy, DiscardPolicy, StorageType } = jetstream;
  const isWork = role === 'work';
  let config: StreamConfig;
  try {
    ({ config } = await manager.streams.info(name));
  } catch (error) {
    if (!isNotFound(jetstream, error)) throw error;
    try {
      ({ config } = await manager.streams.add({
        name,
        subjects: [subject],
        storage: StorageType.File,
        retention: isWork ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
        // Work waits for room; of the others the oldest goes.
        discard: isWork ? DiscardPolicy.New : DiscardPolicy.Old,
        max_age: role === 'broadcast' ? transport.nanos(BROADCAST_AGE_MS) : 0,
        ...(maxBytes > 0 && { max_bytes: maxBytes }),
      }));
    } catch (failure) {
      if (!(failure instanceof jetstream.JetStreamApiError)) throw failure;
      throw new CommandFailure(`the server does not create the stream ${name}: ${failure.message}`);
    }
  }
  if (!config.subjects?.some((pattern) => matches(pattern, subject))) {
    throw new CommandFailure(
      `the stream ${name} exists and has no subject ${subject}: choose a name with --stream`,
    );
  }
  if (isWork || config.retention === RetentionPolicy.Limits) return config;
  throw new CommandFailure(
    `the stream ${name} has the retention ${config.retention}, which drops what one reader has: ${role} needs limits, use another subject`,
  );
}

/** Whether the server says that there is no such stream. */
export function isNotFound(
  { JetStreamApiError, JetStreamApiCodes }: Client['jetstream'],
  error: unknown,
): boolean {
  return error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound;
}

/** Whether the stream may refuse a record for lack of room. */
export function isBounded({ discard, max_bytes: maxBytes, max_msgs: maxMessages }: StreamConfig): boolean {
  return (discard as string) === 'new' && (maxBytes > 0 || maxMessages > 0);
}

function matches(pattern: string, subject: string): boolean {
  const words = subject.split('.');
  const parts = pattern.split('.');
  return (
    parts.every(
      (part, index) => part === '>' || part === words[index] || (part === '*' && index < words.length),
    ) && (parts.at(-1) === '>' ? words.length >= parts.length : words.length === parts.length)
  );
}
