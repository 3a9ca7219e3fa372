import type { ConsumerInfo, StreamInfo } from '@nats-io/jetstream';
import type { NodeConnectionOptions } from '@nats-io/transport-node';
import { CommandFailure } from '../failures.ts';
import { columnWidths, type Column, rowLine, titleLine } from '../tables/text-table.ts';
import type { Client } from './client.ts';
import { positionsOf } from './positions.ts';
import type { StreamSettings } from './streams.ts';

/** A reader of the stream, as --status prints it. */
interface Row {
  readonly reader: string;
  /** Records that it has yet to get, that it has without having acknowledged them, and that came more than once. */
  readonly waiting: number;
  readonly taken: number | null;
  readonly again: number | null;
}

const columns: readonly Column<Row>[] = [
  { title: 'READER', align: 'left', text: ({ reader }) => reader },
  { title: 'WAITING', align: 'right', text: ({ waiting }) => String(waiting) },
  { title: 'TAKEN', align: 'right', text: ({ taken }) => String(taken ?? '-') },
  { title: 'AGAIN', align: 'right', text: ({ again }) => String(again ?? '-') },
];

/** Prints the stream as a line and its readers as a table. Fails with a CommandFailure. */
export async function printStatus(
  client: Client,
  options: NodeConnectionOptions,
  { name, subject }: StreamSettings,
): Promise<void> {
  try {
    const connection = await client.transport.connect(options);
    const manager = await client.jetstream.jetstreamManager(connection, { checkAPI: false });
    const stream = await manager.streams.info(name);
    const consumers = await manager.consumers.list(name).next();
    const rows = consumers.filter(({ config }) => config.filter_subject === subject).map(rowOfConsumer);
    for (const [reader, position] of await positionsOf(client, manager, name)) {
      rows.push({ reader, waiting: Math.max(0, stream.state.last_seq - position), taken: null, again: null });
    }
    process.stdout.write(`${[summary(stream), ...table(rows)].join('\n')}\n`);
    await connection.close();
  } catch (error) {
    const { JetStreamApiError } = client.jetstream;
    const what = error instanceof JetStreamApiError ? `the stream ${name}` : 'the server';
    throw new CommandFailure(`${what} cannot be asked: ${(error as Error).message}`);
  }
}

function summary({ config, state }: StreamInfo): string {
  const range = state.messages === 0 ? '' : ` (${state.first_seq} to ${state.last_seq})`;
  return `stream ${config.name}: ${state.messages} records${range}, ${state.bytes} bytes, retention ${config.retention}`;
}

function rowOfConsumer({
  name,
  num_pending: waiting,
  num_ack_pending: taken,
  num_redelivered: again,
}: ConsumerInfo): Row {
  return { reader: name, waiting, taken, again };
}

function table(rows: readonly Row[]): string[] {
  if (rows.length === 0) return [];
  const widths = columnWidths(columns, rows, Infinity);
  return [
    titleLine(columns, widths, 'unicode'),
    ...rows.map((row) => rowLine(columns, widths, row, 'unicode')),
  ];
}
