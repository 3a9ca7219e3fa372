import { type Architecture, systemCallName } from './system-calls.ts';

/** Where a poll, select or epoll has what it watches. */
export type WatchSource =
  | { readonly kind: 'poll'; readonly address: bigint; readonly count: number }
  /** Addresses of the sets for reading, writing and exceptions, 0 for none. */
  | { readonly kind: 'select'; readonly count: number; readonly addresses: readonly bigint[] }
  | { readonly kind: 'epoll'; readonly descriptor: number };

/** The system call that a thread sleeps in. */
export interface SleepingCall {
  /** `poll`, `wait4`; null when it is not known. */
  readonly name: string | null;
  /** Null when the call watches no descriptors, or is not known. */
  readonly source: WatchSource | null;
  /** It ends by itself after a time. */
  readonly hasTimeout: boolean;
  /** It waits for another thread of its own process, without a time limit: a futex that is no other process's. */
  readonly isIdle: boolean;
}

const UNKNOWN: SleepingCall = { name: null, source: null, hasTimeout: false, isIdle: false };

const FUTEX_WAIT = 0;
const FUTEX_WAIT_BITSET = 9;
const FUTEX_PRIVATE = 128;
const FUTEX_COMMAND_MASK = 0x7f;

/** Stacks of programs of 32 bits lie below; their calls have other numbers. */
const LOWEST_STACK = 2n ** 32n;

/** Functions of the kernel that these calls sleep in: `number` alone may be that of another table of calls. */
const PLACES: Readonly<Record<string, RegExp>> = {
  poll: /poll/,
  ppoll: /poll/,
  select: /select|poll/,
  pselect6: /select|poll/,
  epoll_wait: /epoll|ep_poll/,
  epoll_pwait: /epoll|ep_poll/,
  epoll_pwait2: /epoll|ep_poll/,
  futex: /futex/,
};

const CALL = /^(-?\d+)((?: 0x[0-9a-f]+)+)\n?$/;

function int(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}

/**
 * What /proc/PID/task/TID/syscall says, checked against the text of `wchan`; null when the thread runs. What does not fit together is a
 * call that is not known.
 */
export function parseSleepingCall(
  text: string,
  place: string,
  architecture: Architecture,
): SleepingCall | null {
  if (text.startsWith('running')) return null;
  const match = CALL.exec(text);
  if (match === null) return UNKNOWN;
  // Six arguments, the stack pointer and the program counter; only the last two outside of system calls.
  const words = match[2]!.trim().split(' ').map(BigInt);
  const stack = words[6];
  if (stack === undefined || words.length !== 8 || stack < LOWEST_STACK) return UNKNOWN;
  const name = systemCallName(Number(match[1]), architecture);
  if (name === null) return UNKNOWN;
  // A kernel may hide the place: it shows 0.
  const isPlaceKnown = /[a-z]/.test(place);
  if (isPlaceKnown && PLACES[name]?.test(place) === false) return UNKNOWN;
  return { name, isIdle: false, ...details(name, words) };
}

type Details = Omit<SleepingCall, 'name' | 'isIdle'> & { readonly isIdle?: boolean };

function details(name: string, words: readonly bigint[]): Details {
  const [first, second, third, fourth, fifth] = words as [bigint, bigint, bigint, bigint, bigint];
  switch (name) {
    case 'poll':
      return {
        source: { kind: 'poll', address: first, count: int(second) },
        hasTimeout: int(third) >= 0,
      };
    case 'ppoll':
      return { source: { kind: 'poll', address: first, count: int(second) }, hasTimeout: third !== 0n };
    case 'select':
    case 'pselect6':
      return {
        source: { kind: 'select', count: int(first), addresses: [second, third, fourth] },
        hasTimeout: fifth !== 0n,
      };
    case 'epoll_wait':
    case 'epoll_pwait':
      return { source: { kind: 'epoll', descriptor: int(first) }, hasTimeout: int(fourth) >= 0 };
    case 'epoll_pwait2':
      return { source: { kind: 'epoll', descriptor: int(first) }, hasTimeout: fourth !== 0n };
    case 'nanosleep':
    case 'clock_nanosleep':
      return { source: null, hasTimeout: true };
    case 'futex': {
      const operation = int(second);
      const command = operation & FUTEX_COMMAND_MASK;
      const isWait = command === FUTEX_WAIT || command === FUTEX_WAIT_BITSET;
      const hasTimeout = fourth !== 0n;
      const isIdle = isWait && (operation & FUTEX_PRIVATE) !== 0 && !hasTimeout;
      return { source: null, hasTimeout, isIdle };
    }
    default:
      return { source: null, hasTimeout: false };
  }
}
