/**
 * Measures pipes of a mount against the kernel's own FIFOs, and segments against files of a tmpfs. Every figure is the ratio of two things measured in turn in one
 * run: absolute rates say more about the machine's other work than about either.
 */
import { parseArgs } from 'node:util';
import { bulkThroughput } from './bulk.ts';
import { BenchMount } from './bench-mount.ts';
import { knoteCosts } from './knotes.ts';
import { mappedStores } from './memory.ts';
import { formatRows, type Row } from './rows.ts';

const DEFAULT_ROUNDS = 5;

interface Settings {
  readonly rounds: number;
  readonly json: boolean;
}

function settings(): Settings {
  const { values } = parseArgs({
    options: { rounds: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  const rounds = values.rounds === undefined ? DEFAULT_ROUNDS : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new TypeError('--rounds takes a number from 1 on');
  return { rounds, json: values.json };
}

async function main({ rounds, json }: Settings): Promise<void> {
  const mount = await BenchMount.start();
  const rows: Row[] = [];
  try {
    rows.push(...knoteCosts(mount, rounds));
    for await (const row of bulkThroughput(mount, rounds)) rows.push(row);
    rows.push(await mappedStores(mount, rounds));
  } finally {
    await mount.stop();
  }
  process.stdout.write(json ? JSON.stringify(rows, null, 2) + '\n' : formatRows(rows));
}

try {
  await main(settings());
} catch (error) {
  const isUsage = error instanceof TypeError;
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
