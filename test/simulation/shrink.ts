import { simulate } from './simulation.ts';
import type { Step } from './steps.ts';

/** What a simulation failed with, null when it did not. */
export function failureOf(seed: number, steps: readonly Step[]): Error | null {
  try {
    simulate({ seed, steps });
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/**
 * The fewest steps that fail in the same way, as far as leaving out parts of any length finds them: halves first, single steps in the
 * end.
 */
export function shrink(seed: number, failing: readonly Step[], maximumRuns = 3000): Step[] {
  const message = failureOf(seed, failing)?.message;
  let steps = [...failing];
  let runs = 0;
  for (
    let length = Math.ceil(steps.length / 2);
    length >= 1;
    length = length === 1 ? 0 : Math.ceil(length / 2)
  ) {
    for (let start = 0; start < steps.length && runs < maximumRuns;) {
      const shorter = [...steps.slice(0, start), ...steps.slice(start + length)];
      runs++;
      if (failureOf(seed, shorter)?.message === message) steps = shorter;
      else start += length;
    }
  }
  return steps;
}

/** What happens in a run, a line each, and how it fails. */
export function traceOf(seed: number, steps: readonly Step[]): string[] {
  const lines: string[] = [];
  try {
    simulate({ seed, steps, trace: (line) => lines.push(line) });
  } catch (error) {
    lines.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return lines;
}
