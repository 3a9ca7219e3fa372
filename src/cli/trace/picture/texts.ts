import { cellOf, printableText } from '../../../kern/printable.ts';

/** Texts whose escaped form is remembered: names repeat in every line. */
const LIMIT = 8192;

/**
 * A name as text that changes nothing but its own place: escaped and bounded as in the tables of info/. One character a byte, UTF-8 as bytes.
 */
export function shownText(text: string): string {
  return cellOf(text, printableText);
}

/** JSON that HTML cannot take for anything else. */
export function pageJson(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', String.raw`\u003c`);
}

/** Makes JSON strings of names, which neither a terminal nor HTML can take for anything else. */
export class JsonTexts {
  readonly #known = new Map<string, string>();

  of(text: string): string {
    let json = this.#known.get(text);
    if (json === undefined) {
      if (this.#known.size >= LIMIT) this.#known.clear();
      json = pageJson(shownText(text));
      this.#known.set(text, json);
    }
    return json;
  }
}
