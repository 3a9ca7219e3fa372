import type { Token, Tokens } from 'marked';
import { fill } from '../../src/cli/help/terminal.ts';
import { plainText } from '../../src/cli/help/text.ts';

/** Escapes make lines longer than they are here; 80 is the limit. */
const LINE_COLUMNS = 68;

/** A line of text in the macros of man(7): nothing in it is a request, and a dash is the one that is typed. */
export function escapeRoff(text: string): string {
  const escaped = text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga');
  return escaped.startsWith('.') ? `\\&${escaped}` : escaped;
}

/** An argument of a macro. */
export function quoteRoff(text: string): string {
  return `"${escapeRoff(text).replaceAll('"', '\\(dq')}"`;
}

/** A paragraph with a tag in front: the tag is bold. */
export function tagged(tag: string, text: string): string[] {
  return ['.TP', `.B ${quoteRoff(tag)}`, ...(text === '' ? ['\\&'] : prose(text))];
}

/** Markdown in the macros of man(7). A table becomes paragraphs, each with its first cells as the tag. */
export function renderAsRoff(tokens: readonly Token[]): string[] {
  const blocks = tokens.filter(({ type }) => type !== 'space');
  return blocks.flatMap((token, index) => {
    const lines = block(token);
    // A heading begins a paragraph by itself.
    return blocks[index - 1]?.type === 'heading' && lines[0] === '.PP' ? lines.slice(1) : lines;
  });
}

function block(token: Token): string[] {
  switch (token.type) {
    case 'heading':
      return [`.SS ${quoteRoff(plainText(token))}`];
    case 'paragraph':
      return ['.PP', ...prose(plainText(token))];
    case 'code':
      return [
        '.PP',
        '.in +4n',
        '.nf',
        ...(token as Tokens.Code).text.split('\n').map(escapeRoff),
        '.fi',
        '.in',
      ];
    case 'list':
      return (token as Tokens.List).items.flatMap((item) => ['.IP \\(bu 2', ...prose(plainText(item))]);
    case 'table':
      return (token as Tokens.Table).rows.flatMap((cells) => {
        const texts = cells.map(plainText);
        return tagged(texts.slice(0, -1).join('  '), texts.at(-1)!);
      });
    default:
      return [];
  }
}

/** Sentences begin on lines of their own, as man(7) wants it. */
export function prose(text: string): string[] {
  return text
    .replace(/\s+/g, ' ')
    .trim()
    .split(/(?<=[.:!?]) (?=[A-Z])/)
    .flatMap((sentence) => fill(sentence, LINE_COLUMNS))
    .map(escapeRoff);
}
