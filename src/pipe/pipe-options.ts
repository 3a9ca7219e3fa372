import { PAGE_SIZE_BYTES } from './budget.ts';

export const LARGEST_CAPACITY_BYTES = 2 ** 30;

/** What a full pipe does: wait for its readers, drop the oldest record, or drop the new one. */
export type Overflow = 'block' | 'oldest' | 'newest';

/** Where records end: nowhere that a read would see, at newlines, or with each write. */
export type Framing = 'bytes' | 'lines' | 'records';

/** The options of one pipe. Never changed: a change makes others. */
export interface PipeOptions {
  /** The name holds the pipe open in both directions. */
  readonly hold: boolean;
  readonly framing: Framing;
  /** Whether a record goes back when its reader is killed; null for what goes with the framing. */
  readonly requeue: boolean | null;
  readonly overflow: Overflow;
  /** Each reader gets everything. */
  readonly fanout: boolean;
  /** Bytes belong to the process that has taken them, and come back at its end. */
  readonly jobserver: boolean;
  /** Size of the ring; 0 for the largest of BSD's. */
  readonly capacityBytes: number;
  /** How long a read waits before it returns end-of-file; 0 for ever. */
  readonly timeoutMs: number;
}

/** Every option by its name: null for a word, otherwise the values that follow `=`, none where they are numbers. */
export const OPTION_VALUES: Readonly<Record<string, readonly string[] | null>> = {
  hold: null,
  lines: null,
  records: null,
  requeue: null,
  overflow: ['block', 'oldest', 'newest'],
  fanout: null,
  jobserver: null,
  capacity: [],
  timeout: [],
};

export const NO_OPTIONS: PipeOptions = {
  hold: false,
  framing: 'bytes',
  requeue: null,
  overflow: 'block',
  fanout: false,
  jobserver: false,
  capacityBytes: 0,
  timeoutMs: 0,
};

/** Whether the pipe is BSD's own. */
export function isPlain(options: PipeOptions): boolean {
  return optionWords(options).length === 0;
}

/** Whether a record that its reader has not finished goes back when a signal ends the reader. */
export function givesBack({ framing, requeue }: PipeOptions): boolean {
  return requeue ?? framing === 'lines';
}

/** The options as they are written, in a fixed order. What goes without saying is left out. */
export function optionWords(options: PipeOptions): string[] {
  const { hold, framing, requeue, overflow, fanout, jobserver, capacityBytes, timeoutMs } = options;
  const words: string[] = [];
  if (hold) words.push('hold');
  if (framing !== 'bytes') words.push(framing);
  if (requeue !== null) words.push(requeue ? 'requeue' : 'requeue=off');
  if (overflow !== 'block') words.push(`overflow=${overflow}`);
  if (fanout) words.push('fanout');
  if (jobserver) words.push('jobserver');
  if (capacityBytes > 0) words.push(`capacity=${capacityBytes}`);
  if (timeoutMs > 0) words.push(`timeout=${timeoutMs}ms`);
  return words;
}

/** Why the options do not go together, and what to do; null when they do. */
export function conflictOf(options: PipeOptions): string | null {
  const { framing, requeue, overflow, fanout, jobserver, hold } = options;
  if (jobserver && framing !== 'bytes') return `tokens of a jobserver are single bytes: leave out ${framing}`;
  if (jobserver && overflow !== 'block') return 'tokens of a jobserver must not get lost: leave out overflow';
  if (jobserver && fanout) return 'a token of a jobserver has one taker: leave out fanout';
  if (fanout && requeue === true) return 'with fanout every reader has records of its own: leave out requeue';
  if (fanout && hold) return 'with fanout readers get what is written after their open: leave out hold';
  if (requeue !== null && framing === 'bytes') return 'requeue is about lines or records: add one of them';
  return null;
}

/** A capacity in whole pages. */
export function roundCapacity(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE_BYTES) * PAGE_SIZE_BYTES;
}
