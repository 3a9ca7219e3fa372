/** Longest pattern. With one `**` at most, a match compares each part of the pattern with one name, in bounded time. */
export const LONGEST_PATTERN_BYTES = 255;

/** Whether a name matches one part of a pattern: `*` is any characters. */
function matchesName(part: string, name: string): boolean {
  if (!part.includes('*')) return part === name;
  const pieces = part.split('*');
  const first = pieces.shift()!;
  const last = pieces.pop()!;
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last))
    return false;
  const end = name.length - last.length;
  let at = first.length;
  // The earliest place of each piece leaves most to those behind it.
  for (const piece of pieces) {
    const found = name.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}

/**
 * Paths from the mount's root, as the tables of info/ show them: `*` does not cross a slash, `**` stands for any number of names,
 * none too.
 */
export class PathPattern {
  readonly text: string;
  /** Parts before `**`, and behind it; without one, all are before. */
  readonly #before: readonly string[];
  readonly #behind: readonly string[] | null;

  /** `text` has passed `problemOf`. */
  constructor(text: string) {
    this.text = text;
    const parts = text.split('/');
    const any = parts.indexOf('**');
    this.#before = any < 0 ? parts : parts.slice(0, any);
    this.#behind = any < 0 ? null : parts.slice(any + 1);
  }

  /** Why a text is no pattern, and what to do; null when it is one. */
  static problemOf(text: string): string | null {
    if (text.length > LONGEST_PATTERN_BYTES)
      return `a pattern has ${LONGEST_PATTERN_BYTES} bytes at most: put * for a part of it`;
    const parts = text.split('/');
    if (parts.includes('')) return 'a pattern has names between its slashes, and begins without one: pipes/*';
    if (parts.some((part) => part.includes('**') && part !== '**'))
      return '** stands for whole names: pipes/**, or * within a name';
    if (parts.filter((part) => part === '**').length > 1) return 'a pattern has one ** at most: pipes/**/log';
    return null;
  }

  /** Whether it can match one path only. */
  get isLiteral(): boolean {
    return !this.text.includes('*');
  }

  /** The part that the first name of a path is compared with. */
  get firstPart(): string {
    return this.#before[0] ?? '**';
  }

  /** `names`: those of a path, from the mount's root on. */
  matches(names: readonly string[]): boolean {
    const behind = this.#behind;
    const fixed = this.#before.length + (behind?.length ?? 0);
    if (behind === null ? names.length !== fixed : names.length < fixed) return false;
    if (!this.#before.every((part, index) => matchesName(part, names[index]!))) return false;
    const start = names.length - (behind?.length ?? 0);
    return behind === null || behind.every((part, index) => matchesName(part, names[start + index]!));
  }
}
