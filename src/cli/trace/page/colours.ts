/** Colours of the page as the style sheet has them, for canvases. */
export class Colours {
  #values = new Map<string, string>();

  /** `name`: a custom property of the page, without its dashes. */
  of(name: string): string {
    let value = this.#values.get(name);
    if (value === undefined) {
      value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
      this.#values.set(name, value);
    }
    return value;
  }

  /** The page has become dark or light. */
  forget(): void {
    this.#values = new Map();
  }
}

const KINDS: Readonly<Record<string, string>> = {
  read: 'read',
  write: 'write',
  open: 'open',
  create: 'open',
  release: 'open',
  poll: 'poll',
  event: 'poll',
};

/** The colour of a call: reads, writes, opens and closes, polls, and others have one each. */
export function kindOf(call: string): string {
  return KINDS[call] ?? 'other';
}
