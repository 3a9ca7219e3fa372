import type { Cell, Column, Table } from '../../vfs/table.ts';
import type { Transport } from '../../vfs/transport.ts';

/** A name and what it is. */
type Fact = readonly [name: string, value: Cell];

export const transportColumns = [
  { name: 'name', description: 'name of a property', value: ([name]) => name },
  { name: 'value', description: 'a word or a number', value: ([, value]) => value },
] as const satisfies readonly Column<Fact>[];

/** info/transport: what carries requests to the server, what it can do, and what it has done. */
export function transportTable(transport: Transport): Table<Fact> {
  return { name: 'transport', columns: transportColumns, rows: () => transport.facts() };
}
