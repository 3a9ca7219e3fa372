import type { Column, Table } from '../../vfs/table.ts';

interface Version {
  readonly version: string;
  /** The serving process. */
  readonly pid: number;
}

export const versionColumns = [
  { name: 'name', description: '`ipcfs`', value: () => 'ipcfs' },
  { name: 'version', description: 'version of the server', value: ({ version }) => version },
  { name: 'pid', description: 'process that serves the mount', value: ({ pid }) => pid },
] as const satisfies readonly Column<Version>[];

/** info/version: what serves the mount. */
export function versionTable(version: Version): Table<Version> {
  return { name: 'version', columns: versionColumns, rows: () => [version] };
}
