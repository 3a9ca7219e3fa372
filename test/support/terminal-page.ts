/** The colours of a terminal with a light background, by the numbers of their escape sequences. */
const COLOURS: Readonly<Record<number, string>> = {
  31: '#c0392b',
  32: '#2e8b57',
  33: '#b8860b',
  34: '#2c5fa8',
  35: '#8e44ad',
  36: '#16808a',
};

interface Attributes {
  readonly isBold: boolean;
  readonly isDim: boolean;
  readonly isInverse: boolean;
  readonly colour: string | null;
}

const PLAIN: Attributes = { isBold: false, isDim: false, isInverse: false, colour: null };

/** The attributes after one number of a sequence `ESC [ N ; N m`. */
function after(attributes: Attributes, number: number): Attributes {
  switch (number) {
    case 0:
      return PLAIN;
    case 1:
      return { ...attributes, isBold: true };
    case 2:
      return { ...attributes, isDim: true };
    case 7:
      return { ...attributes, isInverse: true };
    case 22:
      return { ...attributes, isBold: false, isDim: false };
    case 27:
      return { ...attributes, isInverse: false };
    case 39:
      return { ...attributes, colour: null };
    default:
      return COLOURS[number] === undefined ? attributes : { ...attributes, colour: COLOURS[number] };
  }
}

function styleOf({ isBold, isDim, isInverse, colour }: Attributes): string {
  const front = colour ?? '#24292f';
  const rules = isInverse ? [`background:${front}`, 'color:#ffffff'] : [`color:${front}`];
  if (isBold) rules.push('font-weight:bold');
  if (isDim) rules.push('opacity:0.6');
  return rules.join(';');
}

const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** What a terminal shows, with its escape sequences for colours, as a page. */
export function terminalPage(screen: string): string {
  let attributes = PLAIN;
  // eslint-disable-next-line no-control-regex -- an escape sequence is what is looked for
  const parts = screen.split(/\u001b\[([\d;]*)m/);
  const spans = parts.map((part, index) => {
    if (index % 2 === 0) return `<span style="${styleOf(attributes)}">${escapeHtml(part)}</span>`;
    attributes = part
      .split(';')
      .map(Number)
      .reduce((seen, number) => after(seen, number), attributes);
    return '';
  });
  return `<!doctype html><meta charset="utf-8"><body style="margin:0"><pre id="screen" style="display:inline-block;margin:0;padding:12px;background:#fafafa;font:14px/1.35 'DejaVu Sans Mono',monospace">${spans.join('')}</pre>`;
}
