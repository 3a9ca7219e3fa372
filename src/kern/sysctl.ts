import type { Credentials } from './credentials.ts';
import { EINVAL, ENOENT, EPERM } from './errno.ts';

/** One tunable or counter. Values are integers. */
export interface SysctlVariable {
  /** `kern.ipc.pipekva` and so on. */
  readonly name: string;
  readonly description: string;
  get(): number;
  /** Absent for counters. Called with values between `minimum` and `maximum` only; 0 or a positive errno. */
  readonly set?: (value: number) => number;
  /** True when `set` works at mount only (a loader tunable). */
  readonly loader?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** The tree of tunables, flat by full name. */
export class SysctlRegistry {
  readonly #variables = new Map<string, SysctlVariable>();

  register(variable: SysctlVariable): void {
    this.#variables.set(variable.name, variable);
  }

  get(name: string): SysctlVariable | undefined {
    return this.#variables.get(name);
  }

  /** Every variable, in order of registration. */
  all(): Iterable<SysctlVariable> {
    return this.#variables.values();
  }

  /** Sets a variable of the running system. ENOENT, EPERM (read-only, or the caller is not root), EINVAL; 0 when done. */
  write(name: string, value: number, credentials: Credentials): number {
    const variable = this.#variables.get(name);
    if (variable === undefined) return ENOENT;
    if (variable.set === undefined || variable.loader === true || credentials.uid !== 0) return EPERM;
    return this.#assign(variable, value);
  }

  /** Sets a variable before anything runs: loader tunables too. ENOENT, EPERM (a counter), EINVAL; 0 when done. */
  preset(name: string, value: number): number {
    const variable = this.#variables.get(name);
    if (variable === undefined) return ENOENT;
    if (variable.set === undefined) return EPERM;
    return this.#assign(variable, value);
  }

  #assign(variable: SysctlVariable, value: number): number {
    if (!Number.isSafeInteger(value)) return EINVAL;
    if (value < (variable.minimum ?? -Infinity) || value > (variable.maximum ?? Infinity)) return EINVAL;
    return variable.set!(value);
  }
}

/** Reads `64`, `0x40` or `64K` (K, M, G are powers of 1024) as an integer; null when it is none. */
export function parseInteger(text: string): number | null {
  const match = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)([kKmMgG]?)\s*$/.exec(text);
  if (match === null) return null;
  const scale = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[match[3]!.toLowerCase()]!;
  const value = Number(match[2]) * scale * (match[1] === '-' ? -1 : 1);
  return Number.isSafeInteger(value) ? value : null;
}
