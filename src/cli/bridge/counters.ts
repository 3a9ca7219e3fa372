import { rename, writeFile } from 'node:fs/promises';
import { CommandFailure } from '../failures.ts';

/** One number of a bridge. */
export class Counter {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  value = 0;

  constructor(name: string, type: 'counter' | 'gauge', help: string) {
    this.name = `ipcfs_bridge_${name}`;
    this.type = type;
    this.help = help;
  }

  add(count: number): void {
    this.value += count;
  }

  set(value: number): void {
    this.value = value;
  }
}

const WRITE_INTERVAL_MS = 1000;

/** What a bridge counts. */
export class Counters {
  readonly connected = new Counter('connected', 'gauge', 'Whether there is a connection.');
  readonly sessions = new Counter('connections_total', 'counter', 'Connections so far.');
  readonly inFlight = new Counter('in_flight', 'gauge', 'Records that are taken and not acknowledged.');
  readonly records = new Counter(
    'records_total',
    'counter',
    'Records that went through and were acknowledged.',
  );
  readonly bytes = new Counter('bytes_total', 'counter', 'Bytes of these records.');
  readonly repeated = new Counter(
    'repeated_total',
    'counter',
    'Records sent or received again and recognized.',
  );
  readonly refused = new Counter(
    'refused_total',
    'counter',
    'Times that the stream took no record, full for example.',
  );
  readonly missed = new Counter(
    'missed_total',
    'counter',
    'Messages that the stream had dropped before they were read.',
  );

  /** The text format of Prometheus. */
  exposition(labels: string): string {
    return Object.values(this as unknown as Record<string, Counter>)
      .map(
        ({ name, type, help, value }) =>
          `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}{${labels}} ${value}\n`,
      )
      .join('');
  }
}

/** Writes the counters to a file, by renaming, about every second while they change. The first time fails with a CommandFailure. */
export async function keepWritten(file: string, labels: string, counters: Counters): Promise<void> {
  let written = '';
  const write = async (): Promise<void> => {
    const text = counters.exposition(labels);
    if (text === written) return;
    written = text;
    const temporary = `${file}.${process.pid}`;
    await writeFile(temporary, text);
    await rename(temporary, file);
  };
  await write().catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandFailure(`--metrics: ${file} cannot be written (${code ?? 'unknown error'})`);
  });
  const again = (): void => {
    // A disk that is full now may have room later.
    void write()
      .catch(() => undefined)
      .finally(() => setTimeout(again, WRITE_INTERVAL_MS));
  };
  setTimeout(again, WRITE_INTERVAL_MS);
}
