import terminalKit from 'terminal-kit';
import { widthOf } from '../tables/format.ts';
import type { Line, Style } from './lines.ts';

type Attributes = terminalKit.ScreenBuffer.Attributes;

const PLAIN: Attributes = { color: 'default', bgColor: 'default' };

/** Of the sixteen colours that every terminal has, so that the person's own scheme counts. */
const ATTRIBUTES: Readonly<Record<Style, Attributes>> = {
  plain: PLAIN,
  title: { ...PLAIN, bold: true },
  dim: { ...PLAIN, dim: true },
  selected: { ...PLAIN, inverse: true },
  alarm: { ...PLAIN, color: 'red', bold: true },
  calm: { ...PLAIN, color: 'green' },
  warm: { ...PLAIN, color: 'yellow' },
  full: { ...PLAIN, color: 'red' },
};

export interface ScreenEvents {
  /** A key, by terminal-kit's name: a character, or `UP`, `ENTER`, `CTRL_C`. */
  key(name: string): void;
  resized(): void;
}

/** The terminal while it is ours: another screen, raw keys, no cursor. `close` gives it back as it was. */
export class Screen {
  readonly #terminal = terminalKit.terminal;
  readonly #hasColor: boolean;
  #buffer: terminalKit.ScreenBuffer | null = null;

  /** Without colour no attribute at all is sent. */
  constructor(hasColor: boolean, events: ScreenEvents) {
    this.#hasColor = hasColor;
    this.#terminal.on('key', (name: string) => {
      if (this.#buffer !== null) events.key(name);
    });
    this.#terminal.on('resize', () => {
      if (this.#buffer === null) return;
      this.#makeBuffer();
      events.resized();
    });
  }

  get columns(): number {
    return this.#terminal.width;
  }

  get rows(): number {
    return this.#terminal.height;
  }

  get isOpen(): boolean {
    return this.#buffer !== null;
  }

  open(): void {
    if (this.isOpen) return;
    this.#terminal.fullscreen(true);
    this.#terminal.hideCursor();
    this.#terminal.grabInput({});
    this.#makeBuffer();
  }

  /** Also when it is closed already. */
  close(): void {
    if (!this.isOpen) return;
    this.#buffer = null;
    if (this.#hasColor) this.#terminal.styleReset();
    this.#terminal.grabInput(false);
    this.#terminal.hideCursor(false);
    this.#terminal.fullscreen(false);
  }

  /** Forgets what the terminal shows: the next `draw` sends everything. */
  forget(): void {
    if (this.isOpen) this.#makeBuffer();
  }

  /** Shows these lines; sends only the cells that have changed. */
  draw(lines: readonly Line[]): void {
    const buffer = this.#buffer;
    if (buffer === null) return;
    buffer.fill({ attr: PLAIN, char: ' ' });
    lines.slice(0, this.rows).forEach((line, y) => {
      let x = 0;
      for (const { text, style } of line) {
        buffer.put(
          { x, y, attr: this.#hasColor ? ATTRIBUTES[style] : PLAIN, wrap: false, dx: 1, dy: 0 },
          text,
        );
        x += widthOf(text);
      }
    });
    buffer.draw({ delta: true });
  }

  #makeBuffer(): void {
    this.#buffer = new terminalKit.ScreenBuffer({
      dst: this.#terminal,
      width: this.columns,
      height: this.rows,
    });
    this.#terminal.clear();
  }
}
