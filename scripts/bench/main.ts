/**
 * Measures a mount against peers on the same machine. Every figure is the ratio of two things measured in turn in one run:
 * absolute rates say more about the machine's other work than about either.
 *
 *   npm run bench -- [--rounds N] [--only SECTION[,SECTION...]] [--json]
 */
import { parseArgs } from 'node:util';
import { BenchMount } from './bench-mount.ts';
import { bridgeThroughput } from './bridge.ts';
import { bulkThroughput } from './bulk.ts';
import { callsOfC } from './c-calls.ts';
import { blockedReaders } from './crowd.ts';
import { engineAlone } from './engine.ts';
import { keyLookups } from './keys.ts';
import { knoteCosts } from './knotes.ts';
import { latencies } from './latency.ts';
import { mappedStores } from './memory.ts';
import { throughRing } from './ring.ts';
import { formatRows, type Row } from './rows.ts';
import { idleServer } from './server.ts';
import { oneByteOperations } from './small.ts';
import { longestSteps } from './steps.ts';
import { callsBesideTables } from './tables.ts';
import { tracedCalls } from './trace.ts';

const DEFAULT_ROUNDS = 5;
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const EXIT_INTERRUPTED = 130;

type Section = (mount: BenchMount, rounds: number) => AsyncIterable<Row>;

/** Each with a mount of its own: what one leaves in the server's memory does not weigh on the next. */
const SECTIONS: Readonly<Record<string, Section>> = {
  small: oneByteOperations,
  bulk: bulkThroughput,
  latency: latencies,
  ring: throughRing,
  memory: mappedStores,
  crowd: blockedReaders,
  tables: callsBesideTables,
  trace: tracedCalls,
  steps: longestSteps,
  knotes: knoteCosts,
  c: callsOfC,
  bridge: bridgeThroughput,
  keys: (_mount, rounds) => keyLookups(rounds),
  engine: (_mount, rounds) => engineAlone(rounds),
  server: (_mount, rounds) => idleServer(rounds),
};

interface Settings {
  readonly rounds: number;
  readonly sections: readonly string[];
  readonly json: boolean;
}

function settings(): Settings {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const rounds = values.rounds === undefined ? DEFAULT_ROUNDS : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new TypeError('--rounds takes a number from 1 on');
  const known = Object.keys(SECTIONS);
  const sections = values.only?.split(',') ?? known;
  const unknown = sections.find((section) => !known.includes(section));
  if (unknown !== undefined) {
    throw new TypeError(`--only does not know "${unknown}": ${known.join(', ')}`);
  }
  return { rounds, sections, json: values.json };
}

async function main({ rounds, sections, json }: Settings): Promise<void> {
  const rows: Row[] = [];
  for (const section of sections) {
    const mount = await BenchMount.start();
    const leave = (): void => {
      // Ends the calls that this program, and those that it has started, wait in.
      void mount.stop().finally(() => process.exit(EXIT_INTERRUPTED));
    };
    for (const signal of ENDING_SIGNALS) process.once(signal, leave);
    try {
      for await (const row of SECTIONS[section]!(mount, rounds)) {
        rows.push(row);
        // One table at the end; until then a sign of life for who watches.
        if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${rows.length}: ${row.what}`);
      }
    } finally {
      for (const signal of ENDING_SIGNALS) process.off(signal, leave);
      await mount.stop();
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  process.stdout.write(json ? `${JSON.stringify(rows, null, 2)}\n` : formatRows(rows));
}

try {
  await main(settings());
} catch (error) {
  const isUsage = error instanceof TypeError;
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
