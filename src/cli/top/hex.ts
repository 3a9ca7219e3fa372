const BYTES = { narrow: 16, wide: 32 };
/** From this width on a line has 32 bytes. */
const WIDE_COLUMNS = 150;
const GROUP_BYTES = 8;

/** Bytes that a line of the hex view has in a terminal of so many columns. */
export function hexBytesPerLine(columns: number): number {
  return columns >= WIDE_COLUMNS ? BYTES.wide : BYTES.narrow;
}

/** Lines as `hexdump -C` prints them; the first byte is the object's at `offset`. */
export function hexLines(bytes: Uint8Array, offset: number, perLine: number): string[] {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; start += perLine) {
    let hex = '';
    let text = '';
    for (let index = start; index < start + perLine; index++) {
      if (index % GROUP_BYTES === 0) hex += ' ';
      const byte = bytes[index];
      if (byte === undefined) {
        hex += '   ';
        continue;
      }
      hex += ' ' + byte.toString(16).padStart(2, '0');
      text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
    }
    lines.push(`${(offset + start).toString(16).padStart(8, '0')}${hex}  |${text}|`);
  }
  return lines;
}
