/** Numbers of the text form. */

/** `0x12`, and `0` for nothing. */
export function formatHex(value: number | bigint): string {
  return value === 0 || value === 0n ? '0' : `0x${value.toString(16)}`;
}

/** The names of the bits that are set, separated by commas; what has no name in hexadecimal; `none` for 0. */
export function formatBits(bits: number, names: Iterable<readonly [string, number]>, none: string): string {
  const words: string[] = [];
  let rest = bits;
  for (const [name, bit] of names) {
    if ((bits & bit) === 0) continue;
    words.push(name);
    rest = (rest & ~bit) >>> 0;
  }
  if (rest !== 0) words.push(formatHex(rest));
  return words.length === 0 ? none : words.join(',');
}

/** The largest `data`. */
export const HIGHEST_SIGNED = 2n ** 63n - 1n;

const LOWEST = -(2n ** 63n);
const HIGHEST = 2n ** 64n - 1n;

/**
 * A decimal or 0x-hexadecimal integer of 64 bits, with a sign or without; a bigint when it is not a safe integer; null when it is
 * none.
 */
export function parseInteger64(text: string): number | bigint | null {
  const match = /^(-?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})$/.exec(text);
  if (match === null) return null;
  const magnitude = BigInt(match[2]!);
  const value = match[1] === '-' ? -magnitude : magnitude;
  if (value < LOWEST || value > HIGHEST) return null;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
