import type { Problem } from './text.ts';

const WORD = 'timeout';
const LONGEST_MS = 24 * 60 * 60 * 1000;
const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** What a line about reads asks for: null is no time-out. */
export interface ReadTimeout {
  readonly timeoutMs: number | null;
}

/** `timeout 0.5s` or `timeout off`; null for a line that is about something else. One character a byte. */
export function parseReadTimeout(line: string): ReadTimeout | Problem | null {
  const words = line.split(/[ \t]+/).filter((word) => word !== '');
  if (words[0] !== WORD) return null;
  const [, value, ...more] = words;
  const column = line.indexOf(WORD) + WORD.length + 1;
  if (value === 'off' && more.length === 0) return { timeoutMs: null };
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m)$/.exec(value ?? '');
  const timeoutMs = match === null ? 0 : Math.ceil(Number(match[1]) * unitsMs[match[2]!]!);
  if (timeoutMs < 1 || timeoutMs > LONGEST_MS || more.length > 0)
    return { column, message: 'timeout takes a time up to 24h, as 500ms, 0.5s or 2m, or off' };
  return { timeoutMs };
}
