/** Which of the calls that match a fault it hits. */
export type Schedule =
  | { readonly kind: 'always' }
  | { readonly kind: 'when' | 'every'; readonly number: number }
  | {
      readonly kind: 'random';
      readonly probability: number;
      readonly probabilityText: string;
      readonly seed: number;
    };

export const MOST_CALLS = 2 ** 32 - 1;

/** Spreads the bits of a number: the finalizer of MurmurHash3. */
function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** Whether the `number`th matching call is hit, from 1 on: a function of the schedule and the number alone. */
export function isDue(schedule: Schedule, number: number): boolean {
  switch (schedule.kind) {
    case 'always':
      return true;
    case 'when':
      return number === schedule.number;
    case 'every':
      return number % schedule.number === 0;
    case 'random':
      return mix(mix(schedule.seed + 1) ^ (number | 0)) < schedule.probability * 2 ** 32;
  }
}

/** The words of a request that give the schedule. */
export function scheduleWords(schedule: Schedule): string[] {
  switch (schedule.kind) {
    case 'always':
      return [];
    case 'when':
    case 'every':
      return [`${schedule.kind}=${schedule.number}`];
    case 'random':
      return [`p=${schedule.probabilityText}`, `seed=${schedule.seed}`];
  }
}
