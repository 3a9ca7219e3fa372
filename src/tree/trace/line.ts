import { errnoName } from '../../kern/errno.ts';
import { cellOf, printableJson, printableWord } from '../../kern/printable.ts';
import { type TraceRecord, TraceType } from './record-ring.ts';

// A line of the trace, as text and as JSON. Content follows in pieces: see `content.ts`.

const US_PER_SECOND = 1_000_000;

/** The columns of the text. A `content` may follow. */
export const TRACE_COLUMNS = 'time duration blocked pid command call object details result';

export const TRACE_TYPES = ['end', 'wait', 'event', 'lost'] as const;

/** What the argument of a call is. */
const argumentNames: Readonly<Record<string, string>> = {
  open: 'flags',
  create: 'flags',
  read: 'size',
  write: 'size',
  readdir: 'size',
  poll: 'events',
  ioctl: 'request',
  mknod: 'mode',
  mkdir: 'mode',
};

const ACCESS = ['rdonly', 'wronly', 'rdwr', 'access3'];
const openFlags: readonly (readonly [number, string])[] = [
  [0o200, 'excl'],
  [0o1000, 'trunc'],
  [0o2000, 'append'],
  [0o4000, 'nonblock'],
];
const pollBits: readonly (readonly [number, string])[] = [
  [0x1, 'in'],
  [0x2, 'pri'],
  [0x4, 'out'],
  [0x8, 'err'],
  [0x10, 'hup'],
  [0x2000, 'rdhup'],
];

function words(bits: number, names: readonly (readonly [number, string])[]): string[] {
  return names.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
}

/** The argument as both forms show it. Words are joined by `|`. */
function argumentText(name: string, value: number): string {
  switch (name) {
    case 'flags':
      return [ACCESS[value & 3]!, ...words(value, openFlags)].join('|');
    case 'events':
      return words(value, pollBits).join('|') || '0';
    case 'request':
      return `0x${value.toString(16)}`;
    case 'mode':
      return `0${(value & 0o7777).toString(8)}`;
    default:
      return String(value);
  }
}

/** The bits of words that `|` joins. */
function bitsOf(text: string, names: readonly (readonly [number, string])[]): number {
  return names.reduce((bits, [bit, name]) => (text.split('|').includes(name) ? bits | bit : bits), 0);
}

/** What `argumentText` was made from; -1 for none. */
export function parseArgument(
  fields: Readonly<Partial<Record<'flags' | 'events' | 'request' | 'mode', string>>>,
): number {
  const { flags, events, request, mode } = fields;
  if (flags !== undefined) return ACCESS.indexOf(flags.split('|')[0]!) | bitsOf(flags, openFlags);
  if (events !== undefined) return bitsOf(events, pollBits);
  if (request !== undefined) return Number(request);
  return mode === undefined ? -1 : Number.parseInt(mode, 8);
}

/** Seconds with six digits behind the point. */
function seconds(us: number): string {
  const whole = Math.floor(us / US_PER_SECOND);
  return `${whole}.${String(US_PER_SECOND + us - whole * US_PER_SECOND).slice(1)}`;
}

/** How a result is shown: a number, or the name of an error. */
function resultText({ call, result }: TraceRecord): string {
  if (result < 0) return errnoName(result);
  return call === 'poll' ? argumentText('events', result) : String(result);
}

function details(record: TraceRecord): string {
  const { type, call, argument, offset, fill, detail } = record;
  if (type === TraceType.Event) return printableWord(detail.replaceAll(' ', ','));
  let text = '';
  if (argument >= 0) {
    const name = argumentNames[call];
    if (name !== undefined) text += `,${name}=${argumentText(name, argument)}`;
  }
  if (offset >= 0) text += `,offset=${offset}`;
  if (fill >= 0) text += `,fill=${fill}`;
  if (detail !== '') text += type === TraceType.Wait ? `,wait=${detail}` : `,to=${cellOf(detail)}`;
  return text === '' ? '-' : text.slice(1);
}

/** A record as words that blanks separate, without its content and the end of the line. */
export function textLine(record: TraceRecord): string {
  const { type, timeUs, durationUs, blockedUs, pid, caller, call, object, result } = record;
  if (type === TraceType.Lost) return `${seconds(timeUs)} - - - - lost - - ${result}`;
  const isEvent = type === TraceType.Event;
  const times = isEvent
    ? '- -'
    : `${seconds(durationUs)} ${type === TraceType.Wait ? '-' : seconds(blockedUs)}`;
  const command = caller === null || caller.command === '' ? '-' : cellOf(caller.command);
  const shown = type === TraceType.End ? resultText(record) : isEvent ? '-' : 'waits';
  return `${seconds(timeUs)} ${times} ${pid === 0 ? '-' : pid} ${command} ${call} ${cellOf(object)} ${details(record)} ${shown}`;
}

/** Text that JSON has as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;

function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : printableJson(JSON.stringify(text));
}

/** The same as the beginning of a JSON object: its last brace and its content are left out. */
export function jsonLine(record: TraceRecord): string {
  const { type, timeUs, pid, caller, call, object, result } = record;
  let text = `{"type":"${TRACE_TYPES[type]}","time":${seconds(timeUs)}`;
  if (type === TraceType.Lost) return `${text},"lines":${result}`;
  if (type !== TraceType.Event) text += `,"duration":${seconds(record.durationUs)}`;
  if (type === TraceType.End) text += `,"blocked":${seconds(record.blockedUs)}`;
  text += `,"pid":${pid}`;
  if (caller !== null) {
    text += `,"process":${caller.process},"parent":${caller.parent},"command":${quoted(caller.command)}`;
  }
  text += `,"call":"${call}","object":${quoted(object)}`;
  if (record.inode >= 0) text += `,"inode":${record.inode}`;
  if (record.handle >= 0) text += `,"handle":${record.handle}`;
  if (record.argument >= 0) {
    const name = argumentNames[call];
    if (name === 'size') text += `,"size":${record.argument}`;
    else if (name !== undefined) text += `,"${name}":"${argumentText(name, record.argument)}"`;
  }
  if (record.offset >= 0) text += `,"offset":${record.offset}`;
  if (record.fill >= 0) text += `,"fill":${record.fill}`;
  if (type === TraceType.Event) return `${text},"event":${quoted(record.detail)}`;
  if (type === TraceType.Wait) return `${text},"wait":${quoted(record.detail)}`;
  if (record.detail !== '') text += `,"to":${quoted(record.detail)}`;
  text += `,"result":${result}`;
  if (result < 0) text += `,"error":"${errnoName(result)}"`;
  return text;
}
