import { parseInteger } from '../../kern/sysctl.ts';

/** A tunable and what it is set to. */
export type SysctlSetting = readonly [name: string, value: number];

/** Reads `NAME=INTEGER`, blanks around either allowed; null when it is something else. */
export function parseSetting(text: string): SysctlSetting | null {
  const equals = text.indexOf('=');
  const name = text.slice(0, equals).trim();
  const value = parseInteger(text.slice(equals + 1));
  return equals < 0 || name === '' || value === null ? null : [name, value];
}
