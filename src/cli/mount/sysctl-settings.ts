import { PortableHost } from '../../host/portable-host.ts';
import { EINVAL, ENOENT, EPERM } from '../../kern/errno.ts';
import { Kernel } from '../../kern/kernel.ts';
import { isTunable, type SysctlRegistry } from '../../kern/sysctl.ts';
import { FileSystem } from '../../tree/file-system.ts';
import type { SysctlSetting } from './sysctl-setting.ts';

export interface SysctlTrial {
  /** The settings that can be made, in an order in which they can. */
  readonly possible: readonly SysctlSetting[];
  /** The first that cannot, and why; null when all can. */
  readonly refusal: { readonly setting: SysctlSetting; readonly reason: string } | null;
}

/**
 * Tries settings on a tree that nobody mounts. Some ranges depend on other tunables, so one that is out of range is tried again
 * after the others: the order in which they are given matters only for tunables that set each other.
 */
export function trySysctls(settings: readonly SysctlSetting[]): SysctlTrial {
  const kernel = new Kernel(new PortableHost());
  new FileSystem(kernel, { identity: { uid: 0, gid: 0, version: '', pid: 0 } });
  const possible: SysctlSetting[] = [];
  let left = settings;
  for (;;) {
    const outOfRange: SysctlSetting[] = [];
    for (const setting of left) {
      const [name, value] = setting;
      const error = kernel.sysctls.preset(name, value);
      if (error === 0) possible.push(setting);
      // Of two for one tunable the later one counts, so the earlier one is not put behind it.
      else if (error === -EINVAL && settings.findLast(([other]) => other === name) === setting)
        outOfRange.push(setting);
      else return { possible, refusal: { setting, reason: describe(kernel.sysctls, setting, error) } };
    }
    const [first] = outOfRange;
    if (first === undefined) return { possible, refusal: null };
    if (outOfRange.length === left.length)
      return { possible, refusal: { setting: first, reason: describe(kernel.sysctls, first, -EINVAL) } };
    left = outOfRange;
  }
}

function describe(sysctls: SysctlRegistry, [name, value]: SysctlSetting, error: number): string {
  switch (error) {
    case -ENOENT: {
      const known = [...sysctls.all()].filter(isTunable);
      return `there is no tunable '${name}': known are ${known.map((variable) => variable.name).join(', ')}`;
    }
    case -EPERM:
      return `${name} is a counter and cannot be set`;
    case -EINVAL:
      return `${name} does not take ${value}: ${rangeOf(sysctls, name)}`;
    default:
      return `${name} could not be set to ${value}`;
  }
}

function rangeOf(sysctls: SysctlRegistry, name: string): string {
  const variable = sysctls.get(name)!;
  const { minimum, maximum } = variable;
  if (minimum !== undefined && maximum !== undefined) return `it goes from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return `it starts at ${minimum}`;
  return `it is ${variable.get()} by default, ${variable.description}`;
}
