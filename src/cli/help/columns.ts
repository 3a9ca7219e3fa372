import { PortableHost } from '../../host/portable-host.ts';
import { Kernel } from '../../kern/kernel.ts';
import { FileSystem } from '../../tree/file-system.ts';

/** A column of a table of info/. */
export interface InfoColumn {
  readonly table: string;
  readonly name: string;
  readonly description: string;
}

/** Every column of every table, as a tree that nobody mounts has them. */
export function infoColumns(): InfoColumn[] {
  const { tables } = new FileSystem(new Kernel(new PortableHost()), {
    identity: { uid: 0, gid: 0, version: '', pid: 0 },
  });
  return tables
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap(({ name: table, columns }) =>
      columns.map(({ name, description }) => ({ table, name, description })),
    );
}

/** The same as a table for a reader. */
export function infoColumnRows(): string[][] {
  return [
    ['table', 'column', 'what it is'],
    ...infoColumns().map(({ table, name, description }) => [table, name, description.replaceAll('`', '')]),
  ];
}
