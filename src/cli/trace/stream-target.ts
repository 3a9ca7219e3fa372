/** The path to write to so that readers of `object` get the bytes: of an end of a pair, the other end. */
export function targetOfRead(object: string): string {
  const [, pair, end] = /^(pairs\/.*\/)([01])$/s.exec(object) ?? [];
  return pair === undefined ? object : pair + (end === '0' ? '1' : '0');
}
