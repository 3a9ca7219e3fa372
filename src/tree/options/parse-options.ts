import {
  conflictOf,
  type Framing,
  LARGEST_CAPACITY_BYTES,
  NO_OPTIONS,
  type Overflow,
  type PipeOptions,
  roundCapacity,
} from '../../pipe/pipe-options.ts';
import { BadRequest } from '../control/request-file.ts';
import { quoted } from '../control/words.ts';

const OVERFLOWS = ['block', 'oldest', 'newest'] as const satisfies readonly Overflow[];
const LONGEST_TIMEOUT_MS = 24 * 60 * 60 * 1000;
const timeUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };
const sizeUnits: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** How a word changes the options; `value` is what follows `=`. Throws BadRequest. */
type Setter = (options: PipeOptions, value: string | undefined) => PipeOptions;

interface OptionKind {
  readonly set: Setter;
  /** The options without it. */
  readonly unset: (options: PipeOptions) => PipeOptions;
}

function isOn(name: string, value: string | undefined): boolean {
  if (value === undefined || value === 'on') return true;
  if (value === 'off') return false;
  throw new BadRequest(`${name} is on or off, and not ${quoted(value)}: write ${name}, or ${name}=off`);
}

function framing(name: Framing): OptionKind {
  const without = (options: PipeOptions): PipeOptions =>
    options.framing === name ? { ...options, framing: 'bytes', requeue: null } : options;
  return {
    set: (options, value) => (isOn(name, value) ? { ...options, framing: name } : without(options)),
    unset: without,
  };
}

/** Every option, by its name. */
export const optionKinds: Readonly<Record<string, OptionKind>> = {
  hold: {
    set: (options, value) => ({ ...options, hold: isOn('hold', value) }),
    unset: (options) => ({ ...options, hold: false }),
  },
  lines: framing('lines'),
  records: framing('records'),
  requeue: {
    set: (options, value) => ({ ...options, requeue: isOn('requeue', value) }),
    unset: (options) => ({ ...options, requeue: null }),
  },
  overflow: {
    set: (options, value) => ({ ...options, overflow: parseOverflow(value) }),
    unset: (options) => ({ ...options, overflow: 'block' }),
  },
  fanout: {
    set: (options, value) => ({ ...options, fanout: isOn('fanout', value) }),
    unset: (options) => ({ ...options, fanout: false }),
  },
  jobserver: {
    set: (options, value) => ({ ...options, jobserver: isOn('jobserver', value) }),
    unset: (options) => ({ ...options, jobserver: false }),
  },
  timeout: {
    set: (options, value) => ({ ...options, timeoutMs: parseTimeout('timeout', value) }),
    unset: (options) => ({ ...options, timeoutMs: 0 }),
  },
  capacity: {
    set: (options, value) => ({ ...options, capacityBytes: parseCapacity(value) }),
    unset: (options) => ({ ...options, capacityBytes: 0 }),
  },
};

/** Framings exclude each other in one request; a later request replaces the one before. */
const FRAMINGS = ['lines', 'records'];

/** The options that `words` make of these. */
export function withOptions(options: PipeOptions, words: readonly string[]): PipeOptions {
  let changed = options;
  const framings: string[] = [];
  for (const word of words) {
    const at = word.indexOf('=');
    const name = at < 0 ? word : word.slice(0, at);
    if (FRAMINGS.includes(name)) framings.push(name);
    changed = kindOf(name).set(changed, at < 0 ? undefined : word.slice(at + 1));
  }
  if (new Set(framings).size > 1)
    throw new BadRequest('lines and records say where a record ends: leave out one of them');
  return checked(changed);
}

/** The options without those that `names` name; `all` names all. */
export function withoutOptions(options: PipeOptions, names: readonly string[]): PipeOptions {
  if (names.length === 1 && names[0] === 'all') return NO_OPTIONS;
  let changed = options;
  for (const name of names) changed = kindOf(name).unset(changed);
  return checked(changed);
}

function kindOf(name: string): OptionKind {
  const kind = Object.hasOwn(optionKinds, name) ? optionKinds[name] : undefined;
  if (kind !== undefined) return kind;
  throw new BadRequest(`unknown option ${quoted(name)}: use ${Object.keys(optionKinds).join(', ')}`);
}

function checked(options: PipeOptions): PipeOptions {
  const conflict = conflictOf(options);
  if (conflict !== null) throw new BadRequest(conflict);
  return options;
}

function parseOverflow(value = ''): Overflow {
  const overflow = OVERFLOWS.find((name) => name === value);
  if (overflow !== undefined) return overflow;
  throw new BadRequest(`overflow is block, oldest or newest, as overflow=oldest, and not ${quoted(value)}`);
}

/** Bytes, rounded up to whole pages. */
function parseCapacity(value = ''): number {
  const match = /^(\d{1,15})([KMG]?)$/.exec(value);
  const bytes = match === null ? 0 : Number(match[1]) * sizeUnits[match[2]!]!;
  if (bytes < 1 || bytes > LARGEST_CAPACITY_BYTES)
    throw new BadRequest(`capacity takes bytes up to 1G, as capacity=1M, and not ${quoted(value)}`);
  return roundCapacity(bytes);
}

/** A time with a unit, in milliseconds. `name` is for the message. */
export function parseTimeout(name: string, value = ''): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m)$/.exec(value);
  const timeMs = match === null ? 0 : Math.ceil(Number(match[1]) * timeUnitsMs[match[2]!]!);
  if (timeMs < 1 || timeMs > LONGEST_TIMEOUT_MS)
    throw new BadRequest(`${name} takes a time up to 24h, as 500ms, 0.5s or 2m, and not ${quoted(value)}`);
  return timeMs;
}
