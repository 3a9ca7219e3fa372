import { constants } from 'node:os';
import { constants as fileConstants } from 'node:fs';
import { errnoName } from '../kern/errno.ts';

/** Error numbers by name, as a host has them. */
export type ErrnoTable = Readonly<Partial<Record<string, number>>>;

/** What stands for an error that the host has no name for. */
const UNKNOWN = 'EIO';

/** A result in Linux's error numbers as the host's: a negative errno is translated by its name, anything else is left alone. */
export function hostResult(result: number, table: ErrnoTable = constants.errno): number {
  if (result >= 0) return result;
  const number = table[errnoName(result)] ?? table[UNKNOWN]!;
  return -number;
}

/** The host's flags of open(2). */
export type OpenFlagTable = Readonly<Record<'O_EXCL' | 'O_TRUNC' | 'O_APPEND' | 'O_NONBLOCK', number>>;

const LINUX_FLAGS: OpenFlagTable = { O_EXCL: 0o200, O_TRUNC: 0o1000, O_APPEND: 0o2000, O_NONBLOCK: 0o4000 };
const FLAG_NAMES = Object.keys(LINUX_FLAGS) as (keyof OpenFlagTable)[];
/** O_RDONLY, O_WRONLY and O_RDWR are 0, 1 and 2 everywhere. */
const ACCESS_MODE = 3;

/** The host's flags of open(2) in Linux's numbers, as far as a server wants to know them. */
export function linuxOpenFlags(hostFlags: number, table: OpenFlagTable = fileConstants): number {
  let flags = hostFlags & ACCESS_MODE;
  for (const name of FLAG_NAMES) if ((hostFlags & table[name]) !== 0) flags |= LINUX_FLAGS[name];
  return flags;
}
