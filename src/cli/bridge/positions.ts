import type { JetStreamManager } from '@nats-io/jetstream';
import type { Client } from './client.ts';
import type { Session } from './sessions.ts';
import { isNotFound } from './streams.ts';

/** A bucket as NATS's key-value store has it, so that its tools show and change positions: `nats kv get ipcfs_positions NAME`. */
const BUCKET = 'ipcfs_positions';
const STREAM = `KV_${BUCKET}`;

function subjectOf(stream: string, name: string): string {
  return `$KV.${BUCKET}.${stream}.${name}`;
}

/** The sequence of the last record that the reader `name` of `stream` has stored; null when it has none. Creates the bucket. */
export async function readPosition(
  { jetstream }: Client,
  { manager }: Session,
  stream: string,
  name: string,
): Promise<number | null> {
  await manager.streams.add({
    name: STREAM,
    subjects: [`$KV.${BUCKET}.>`],
    storage: jetstream.StorageType.File,
    max_msgs_per_subject: 1,
    discard: jetstream.DiscardPolicy.New,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_direct: true,
  });
  const message = await manager.streams.getMessage(STREAM, { last_by_subj: subjectOf(stream, name) });
  const position = Number(message?.string() ?? NaN);
  return Number.isSafeInteger(position) ? position : null;
}

/** Stores a position; resolves when the server has it. */
export async function writePosition(
  { jetstream }: Session,
  stream: string,
  name: string,
  sequence: number,
): Promise<void> {
  await jetstream.publish(subjectOf(stream, name), String(sequence));
}

/** Every kept position in a stream, by the reader's name. */
export async function positionsOf(
  { jetstream }: Client,
  manager: JetStreamManager,
  stream: string,
): Promise<Map<string, number>> {
  const positions = new Map<string, number>();
  const prefix = subjectOf(stream, '');
  try {
    const { state } = await manager.streams.info(STREAM, { subjects_filter: `${prefix}>` });
    for (const subject of Object.keys(state.subjects ?? {})) {
      const message = await manager.streams.getMessage(STREAM, { last_by_subj: subject });
      if (message !== null) positions.set(subject.slice(prefix.length), Number(message.string()));
    }
  } catch (error) {
    if (!isNotFound(jetstream, error)) throw error;
  }
  return positions;
}
