import { isTunable, type SysctlRegistry, type SysctlVariable } from '../../kern/sysctl.ts';
import type { Column, Table } from '../../vfs/table.ts';

function writer(variable: SysctlVariable): string {
  if (!isTunable(variable)) return 'no';
  return variable.loader === true ? 'mount' : 'root';
}

export const sysctlsColumns = [
  { name: 'name', description: 'full name', value: ({ name }) => name },
  { name: 'value', description: 'value now', value: (variable) => variable.get() },
  {
    name: 'type',
    description: 'unit: `bytes`, `pages`, `count`, or `switch` (0 or 1)',
    value: ({ type }) => type ?? 'count',
  },
  { name: 'min', description: 'minimum, `-` for none', value: ({ minimum }) => minimum ?? '' },
  { name: 'max', description: 'maximum, `-` for none', value: ({ maximum }) => maximum ?? '' },
  {
    name: 'writable',
    description: 'who may set it: `root`, an option of the mount (`mount`), or nobody (`no`)',
    value: writer,
  },
  { name: 'description', description: 'description', value: ({ description }) => description },
] as const satisfies readonly Column<SysctlVariable>[];

/** info/sysctls: every tunable and counter, with its range and who may write it. */
export function sysctlsTable(registry: SysctlRegistry): Table<SysctlVariable> {
  return { name: 'sysctls', columns: sysctlsColumns, endsInText: true, rows: () => registry.all() };
}
