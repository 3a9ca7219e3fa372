import { printableWord } from '../../kern/printable.ts';
import { textOfBytes } from '../../vfs/text-file.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Base64 with padding. */
export function base64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const three = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    text += ALPHABET[three >> 18]! + ALPHABET[(three >> 12) & 63]!;
    text += at + 1 < bytes.length ? ALPHABET[(three >> 6) & 63]! : '=';
    text += at + 2 < bytes.length ? ALPHABET[three & 63]! : '=';
  }
  return text;
}

/** How a form of the trace writes a line and its content. */
export interface ContentForm {
  /** Before the content, and behind the line. */
  readonly begin: string;
  readonly end: string;
  /** Behind a line that has no content. */
  readonly without: string;
  encode(bytes: Uint8Array): string;
}

/** A word more: what could steer a terminal is escaped. */
export const textContent: ContentForm = {
  begin: ' ',
  end: '\n',
  without: '\n',
  encode: (bytes) => printableWord(textOfBytes(bytes)),
};

export const jsonContent: ContentForm = {
  begin: ',"content":"',
  end: '"}\n',
  without: '}\n',
  encode: base64,
};
