import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Tables } from '../cli/tables/tables.ts';

export type TableName = keyof Tables;

/** The rows of several tables. */
export type TableRows<Name extends TableName = TableName> = {
  readonly [Each in Name]: readonly Tables[Each][];
};

/** How long a mount may take to make a table. */
const ANSWER_TIMEOUT_MS = 10_000;
const SHOWN_ROWS = 20;

/** The rows of info/NAME, as they are now. Fails when the server does not answer. */
export async function readRows<Name extends TableName>(
  directory: string,
  name: Name,
): Promise<Tables[Name][]> {
  const timer = new AbortController();
  const late = delay(ANSWER_TIMEOUT_MS, null, { signal: timer.signal }).then(() => {
    throw new Error(
      `info/${name} is not answered within ${ANSWER_TIMEOUT_MS} ms: the server of ${directory} hangs`,
    );
  });
  try {
    const text = await Promise.race([readFile(join(directory, `info/${name}.json`), 'utf8'), late]);
    return JSON.parse(text) as Tables[Name][];
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}

/** All tables of `names`. Each is of one moment; there may be some time between two. */
export async function readTables<Name extends TableName>(
  directory: string,
  names: readonly Name[],
): Promise<TableRows<Name>> {
  const rows = await Promise.all(names.map(async (name) => [name, await readRows(directory, name)] as const));
  return Object.fromEntries(rows) as unknown as TableRows<Name>;
}

/** The tables for a person, a row a line; empty ones are left out. */
export function describeTables(tables: Partial<TableRows>): string {
  const parts = Object.entries(tables).flatMap(([name, rows]) => {
    if (rows.length === 0) return [];
    const shown = rows.slice(0, SHOWN_ROWS).map((row) => `    ${JSON.stringify(row)}`);
    const more = rows.length > SHOWN_ROWS ? [`    and ${rows.length - SHOWN_ROWS} more`] : [];
    return [`  info/${name}:`, ...shown, ...more];
  });
  return parts.length === 0 ? '  all tables are empty' : parts.join('\n');
}
