import { assert } from './assert.ts';
import type { Credentials } from './credentials.ts';
import { EINVAL, ENOENT, EPERM } from './errno.ts';
import type { Operation } from './operation.ts';

/** What a value counts; of a `switch` only whether it is off or on matters. */
export type SysctlType = 'bytes' | 'pages' | 'count' | 'switch';

/** The range of an `int` of the originals. */
export const LOWEST_INT = -(2 ** 31);
export const HIGHEST_INT = 2 ** 31 - 1;

/** One tunable or counter. Values are integers. */
export interface SysctlVariable {
  /** `kern.ipc.pipekva` and so on. */
  readonly name: string;
  readonly description: string;
  /** `count` when it is not given. */
  readonly type?: SysctlType;
  get(): number;
  /** Called with values between `minimum` and `maximum` only; 0 or a negative errno. Counters have neither this nor `change`. */
  readonly set?: (value: number) => number;
  /** In place of `set` for a change that may have to wait: 0 or a negative errno. It never waits before the mount. */
  readonly change?: (value: number) => Operation<number>;
  /** True when `set` works at mount only (a loader tunable). */
  readonly loader?: boolean;
  /** The range of a tunable. It may depend on another's value. */
  readonly minimum?: number;
  readonly maximum?: number;
}

/** Whether the variable can be set at all, at mount or later. */
export function isTunable(variable: SysctlVariable): boolean {
  return variable.set !== undefined || variable.change !== undefined;
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

  /**
   * Sets a variable of the running system that has `set`. -ENOENT, -EPERM (read-only, or the caller is not root), -EINVAL; 0
   * when done.
   */
  write(name: string, value: number, credentials: Credentials): number {
    const variable = this.#variables.get(name);
    if (variable === undefined) return -ENOENT;
    if (variable.set === undefined || variable.loader === true || credentials.uid !== 0) return -EPERM;
    return isInRange(variable, value) ? variable.set(value) : -EINVAL;
  }

  /** As `write`, for any variable: it may have to wait. 0 or a negative errno, -EINTR when a signal ended the wait. */
  *change(name: string, value: number, credentials: Credentials): Operation<number> {
    const variable = this.#variables.get(name);
    if (variable?.change === undefined) return this.write(name, value, credentials);
    if (variable.loader === true || credentials.uid !== 0) return -EPERM;
    return isInRange(variable, value) ? yield* variable.change(value) : -EINVAL;
  }

  /** Sets a variable before anything runs: loader tunables too. -ENOENT, -EPERM (a counter), -EINVAL; 0 when done. */
  preset(name: string, value: number): number {
    const variable = this.#variables.get(name);
    if (variable === undefined) return -ENOENT;
    if (!isTunable(variable)) return -EPERM;
    if (!isInRange(variable, value)) return -EINVAL;
    if (variable.set !== undefined) return variable.set(value);
    const step = variable.change!(value).next();
    assert(step.done === true, 'nothing that a change waits for happens before the mount');
    return step.value;
  }
}

function isInRange(variable: SysctlVariable, value: number): boolean {
  if (!Number.isSafeInteger(value)) return false;
  return value >= (variable.minimum ?? -Infinity) && value <= (variable.maximum ?? Infinity);
}

/** Reads `64`, `0x40` or `64K` (K, M, G are powers of 1024) as an integer; null when it is none. */
export function parseInteger(text: string): number | null {
  const match = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)([kKmMgG]?)\s*$/.exec(text);
  if (match === null) return null;
  const scale = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[match[3]!.toLowerCase()]!;
  const value = Number(match[2]) * scale * (match[1] === '-' ? -1 : 1);
  return Number.isSafeInteger(value) ? value : null;
}
