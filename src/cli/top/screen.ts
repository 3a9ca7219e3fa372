import { emitKeypressEvents, type Interface, type Key } from 'node:readline';
import { widthOf } from '../tables/format.ts';
import type { Line, Style } from './lines.ts';

/** Control sequences of ECMA-48 and xterm, which every terminal of Linux and macOS knows. */
const sequence = (text: string): string => `\u001b[${text}`;
const OPEN = sequence('?1049h') + sequence('?25l') + sequence('?7l');
const CLOSE = sequence('?7h') + sequence('?25h') + sequence('?1049l');
const CLEAR = sequence('2J');
const ERASE_REST = sequence('K');
const PLAIN = sequence('0m');

/** Of the sixteen colours that every terminal has, so that the person's own scheme counts. */
const ATTRIBUTES: Readonly<Record<Style, string>> = {
  plain: '',
  title: sequence('1m'),
  dim: sequence('2m'),
  selected: sequence('7m'),
  alarm: sequence('1;31m'),
  calm: sequence('32m'),
  warm: sequence('33m'),
  full: sequence('31m'),
};

/** A byte ESC that nothing follows in this time is the key, and not the begin of a sequence. */
const ESCAPE_TIMEOUT_MS = 50;

/** Keys by Node's names, as `pressed` takes them. */
const NAMES: Readonly<Record<string, string>> = {
  ...{ up: 'UP', down: 'DOWN', left: 'LEFT', right: 'RIGHT', home: 'HOME', end: 'END' },
  ...{ pageup: 'PAGE_UP', pagedown: 'PAGE_DOWN', return: 'ENTER', enter: 'ENTER', tab: 'TAB' },
  ...{ escape: 'ESCAPE', backspace: 'BACKSPACE', delete: 'DELETE' },
};

/** The names of what was typed: one, or none for a key that has none here. */
function namesOf(text: string | undefined, { name = '', ctrl, shift, sequence: bytes = '' }: Key): string[] {
  // Two of them in one read.
  if (bytes === '\u001b\u001b') return ['ESCAPE', 'ESCAPE'];
  if (ctrl === true && /^[a-z]$/.test(name)) return [`CTRL_${name.toUpperCase()}`];
  if (name === 'tab' && shift === true) return ['SHIFT_TAB'];
  const known = NAMES[name];
  if (known !== undefined) return [known];
  return text !== undefined && /^[^\p{Cc}]$/u.test(text) ? [text] : [];
}

export interface ScreenEvents {
  /** A key: a character, or `UP`, `ENTER`, `CTRL_C`. */
  key(name: string): void;
  resized(): void;
}

/** The terminal while it is ours: another screen, raw keys, no cursor. `close` gives it back as it was. */
export class Screen {
  readonly #input = process.stdin;
  readonly #output = process.stdout;
  readonly #hasColor: boolean;
  /** What each line of the terminal shows; null while the screen is closed. */
  #shown: string[] | null = null;

  /** Without colour no attribute at all is sent. */
  constructor(hasColor: boolean, events: ScreenEvents) {
    this.#hasColor = hasColor;
    // Of an interface it asks for nothing but this.
    emitKeypressEvents(this.#input, { escapeCodeTimeout: ESCAPE_TIMEOUT_MS } as unknown as Interface);
    this.#input.on('keypress', (text: string | undefined, key: Key) => {
      for (const name of namesOf(text, key)) if (this.isOpen) events.key(name);
    });
    this.#output.on('resize', () => {
      if (!this.isOpen) return;
      this.forget();
      events.resized();
    });
  }

  get columns(): number {
    return this.#output.columns;
  }

  get rows(): number {
    return this.#output.rows;
  }

  get isOpen(): boolean {
    return this.#shown !== null;
  }

  open(): void {
    if (this.isOpen) return;
    this.#input.setRawMode(true);
    this.#input.resume();
    this.#output.write(OPEN);
    this.#shown = [];
    this.forget();
  }

  /** Also when it is closed already. */
  close(): void {
    if (!this.isOpen) return;
    this.#shown = null;
    this.#output.write((this.#hasColor ? PLAIN : '') + CLOSE);
    this.#input.setRawMode(false);
    this.#input.pause();
  }

  /** Forgets what the terminal shows: the next `draw` sends everything. */
  forget(): void {
    if (!this.isOpen) return;
    this.#shown = [];
    this.#output.write(CLEAR);
  }

  /** Shows these lines; sends only those that have changed, in one write. */
  draw(lines: readonly Line[]): void {
    const shown = this.#shown;
    if (shown === null) return;
    let changes = '';
    lines.slice(0, this.rows).forEach((line, index) => {
      const text = this.#textOf(line);
      if (shown[index] === text) return;
      shown[index] = text;
      changes += sequence(`${index + 1};1H`) + text;
    });
    if (changes !== '') this.#output.write(changes);
  }

  #textOf(line: Line): string {
    const parts = line.map(({ text, style }) => {
      const attributes = this.#hasColor ? ATTRIBUTES[style] : '';
      return attributes === '' ? text : attributes + text + PLAIN;
    });
    const width = line.reduce((sum, { text }) => sum + widthOf(text), 0);
    // Behind a line that is full the cursor stands on its last character.
    return parts.join('') + (width < this.columns ? ERASE_REST : '');
  }
}
