import { PortableHost } from '../../host/portable-host.ts';
import { Kernel } from '../../kern/kernel.ts';
import { isTunable, type SysctlVariable } from '../../kern/sysctl.ts';
import { FileSystem } from '../../tree/file-system.ts';

/** What can be set, in a tree that nobody mounts: the values are the defaults on this machine. */
export function tunableVariables(): SysctlVariable[] {
  const kernel = new Kernel(new PortableHost());
  new FileSystem(kernel, { identity: { uid: 0, gid: 0, version: '', pid: 0 } });
  return [...kernel.sysctls.all()].filter(isTunable);
}

/** A table of the tunables for a reader: name, default, range, what it is. */
export function tunableRows(): string[][] {
  const rows = tunableVariables().map((variable) => [
    variable.name,
    String(variable.get()),
    range(variable),
    variable.description,
  ]);
  return [['name', 'default', 'range', 'what it is'], ...rows];
}

function range({ minimum, maximum }: SysctlVariable): string {
  if (minimum === undefined && maximum === undefined) return '-';
  return `${minimum ?? ''}..${maximum ?? ''}`;
}
