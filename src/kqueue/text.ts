import { errnoName } from '../kern/errno.ts';
import { EV_EOF, EVFILT_PROC, EVFILT_SIGNAL, EVFILT_TIMER, EVFILT_USER } from '../kern/klist.ts';
import {
  type Change,
  EV_ADD,
  EV_ERROR,
  Given,
  type Ident,
  type Kevent,
  namesFile,
  NOTE_FFAND,
  NOTE_FFCOPY,
  NOTE_FFLAGSMASK,
  NOTE_FFOR,
} from './kevent.ts';
import {
  filterName,
  filterNumbers,
  flagOptions,
  formatFflags,
  formatFlags,
  formatHex,
  noteOptions,
  parseInteger64,
  signalNumber,
  verbFlags,
} from './words.ts';

// The text form, one line a change or an event:
//
//   change = verb filter ident { option }          verb = add | delete | enable | disable | modify
//   event  = filter ident data= flags= fflags= udata=
//   error  = error filter ident errno= udata=
//
// Words are separated by blanks and tabs; a word that begins with # begins a comment.

/** Why a line is no change. */
export interface Problem {
  /** Where in the line, from 1 on. */
  readonly column: number;
  readonly message: string;
}

interface Word {
  readonly text: string;
  readonly column: number;
}

const QUOTED_LENGTH = 64;
const HIGHEST_SIGNED = 2n ** 63n - 1n;
const HIGHEST_FFLAGS = 0xffff_ffff;

const periodUnits = new Map<string, bigint>([
  ['ms', 1n],
  ['s', 1000n],
  ['m', 60_000n],
]);

const userOperations = new Map<string, number>([
  ['ffand', NOTE_FFAND],
  ['ffor', NOTE_FFOR],
  ['ffcopy', NOTE_FFCOPY],
]);

export function isProblem(result: Change | Problem): result is Problem {
  return 'message' in result;
}

/** The change that a line asks for; null when the line is empty or a comment. One character a byte. */
export function parseChange(line: string): Change | Problem | null {
  const words = splitWords(line);
  const control = /[^\t\x20-\x7e\x80-\xff]/.exec(line);
  if (control !== null) return { column: control.index + 1, message: 'control character' };
  const [verb, filterWord, identWord, ...options] = words;
  if (verb === undefined) return null;
  const end = line.length + 1;
  const flags = verbFlags.get(verb.text);
  if (flags === undefined) return unknown('command', verb);
  if (filterWord === undefined) return { column: end, message: 'no filter' };
  const filter = filterNumbers.get(filterWord.text);
  if (filter === undefined) return unknown('filter', filterWord);
  if (identWord === undefined) return { column: end, message: 'no ident' };
  const ident = parseIdent(filter, identWord.text);
  if (ident === null) {
    return {
      column: identWord.column,
      message: `${quote(identWord.text)} is no ident of ${filterWord.text}`,
    };
  }
  const parser = new OptionParser(filter, flags);
  for (const option of options) {
    const message = parser.take(option.text);
    if (message !== null) return { column: option.column, message };
  }
  const canonical = formatIdent({ ident, filter, label: null });
  return {
    ident,
    filter,
    flags: parser.flags,
    fflags: parser.fflags,
    data: parser.data,
    udata: parser.udata,
    label: canonical === identWord.text ? null : identWord.text,
    given: (flags & EV_ADD) !== 0 ? Given.Everything : parser.given,
  };
}

/** The line of an event, or of a record about a change, with its newline. */
export function formatLine(event: Kevent): string {
  const head = `${filterName(event.filter)} ${formatIdent(event)}`;
  const udata = `udata=${formatUdata(event)}`;
  if (event.flags === EV_ERROR) {
    const errno = Number(event.data);
    return `error ${head} errno=${errno === 0 ? '0' : errnoName(errno)} ${udata}\n`;
  }
  // A wait status is read by its bytes.
  const isStatus = event.filter === EVFILT_PROC && (event.flags & EV_EOF) !== 0;
  const data = isStatus ? formatHex(event.data) : String(event.data);
  const fflags = formatFflags(event.filter, event.fflags);
  return `${head} data=${data} flags=${formatFlags(event.flags)} fflags=${fflags} ${udata}\n`;
}

/** The line that explains why a write was refused, with its newline. `line` counts from 1 within the write. */
export function formatComplaint(line: number, message: string): string {
  return `error line=${line} errno=EINVAL ${message}\n`;
}

/** An ident as it was written, or as the text form would write it. */
export function formatIdent({ ident, filter, label }: Pick<Kevent, 'ident' | 'filter' | 'label'>): string {
  if (label !== null) return label;
  return typeof ident !== 'string' && namesFile(filter) ? `fd:${ident}` : String(ident);
}

/** The caller's token; `-` for none. */
export function formatUdata({ udata }: Pick<Kevent, 'udata'>): string {
  if (typeof udata === 'string') return udata;
  return udata === 0 ? '-' : formatHex(udata);
}

function splitWords(line: string): Word[] {
  const words: Word[] = [];
  for (const match of line.matchAll(/[^ \t]+/g)) {
    if (match[0].startsWith('#')) break;
    words.push({ text: match[0], column: match.index + 1 });
  }
  return words;
}

/** A token for a message: what cannot be printed as `\xNN`, cut when it is long. */
function quote(text: string): string {
  const cut = text.length > QUOTED_LENGTH ? `${text.slice(0, QUOTED_LENGTH)}...` : text;
  const printable = cut.replace(
    /[^\x20-\x7e]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `"${printable}"`;
}

function unknown(what: string, word: Word): Problem {
  return { column: word.column, message: `unknown ${what} ${quote(word.text)}` };
}

/** Null when the word cannot be an ident of this filter. */
function parseIdent(filter: number, word: string): Ident | null {
  if (namesFile(filter)) {
    if (!word.startsWith('fd:')) return word;
    const descriptor = parseInteger64(word.slice('fd:'.length));
    return descriptor === null || descriptor < 0 ? null : descriptor;
  }
  const number = parseInteger64(word);
  if (number !== null) return number < 0 ? null : number;
  return filter === EVFILT_SIGNAL ? signalNumber(word) : null;
}

/** Collects the options of one change. */
class OptionParser {
  readonly #filter: number;
  readonly #notes: ReadonlyMap<string, number>;
  readonly #seen = new Set<string>();
  flags: number;
  fflags = 0;
  data: number | bigint = 0;
  udata: string | number = 0;
  given = 0;

  constructor(filter: number, flags: number) {
    this.#filter = filter;
    this.#notes = noteOptions(filter);
    this.flags = flags;
  }

  /** Null, or what is wrong with the option. */
  take(option: string): string | null {
    const equals = option.indexOf('=');
    if (equals < 0) return this.#takeWord(option);
    const name = option.slice(0, equals);
    const value = option.slice(equals + 1);
    const problem = this.#takeValue(userOperations.has(name) ? 'ff' : name, name, value);
    if (problem === null) return null;
    return problem === '' ? `unknown option ${quote(option)}` : `${quote(option)}: ${problem}`;
  }

  #takeWord(word: string): string | null {
    const flag = flagOptions.get(word);
    if (flag !== undefined) {
      this.flags |= flag;
      return null;
    }
    const note = this.#notes.get(word);
    if (note === undefined) return `unknown option ${quote(word)}`;
    this.#addFflags(note);
    return null;
  }

  /** Null, or what is wrong with the value; '' when there is no such option. */
  #takeValue(kind: string, name: string, value: string): string | null {
    const isRepeated = this.#seen.has(kind);
    this.#seen.add(kind);
    switch (kind) {
      case 'data': {
        const data = this.#filter === EVFILT_TIMER ? parsePeriod(value) : parseInteger64(value);
        if (data === null || data > HIGHEST_SIGNED) return 'not an integer of 64 bits';
        this.data = data;
        this.given |= Given.Data;
        break;
      }
      case 'fflags': {
        const fflags = parseInteger64(value);
        if (fflags === null || fflags < 0 || fflags > HIGHEST_FFLAGS) return 'not an integer of 32 bits';
        this.#addFflags(Number(fflags));
        break;
      }
      case 'ff': {
        if (this.#filter !== EVFILT_USER) return '';
        const bits = parseInteger64(value);
        if (bits === null || bits < 0 || bits > NOTE_FFLAGSMASK) return 'not an integer of 24 bits';
        this.#addFflags((userOperations.get(name)! | Number(bits)) >>> 0);
        break;
      }
      case 'udata':
        if (value === '') return 'no token';
        this.udata = value === '-' ? 0 : value;
        this.given |= Given.Udata;
        break;
      default:
        return '';
    }
    return isRepeated ? 'given twice' : null;
  }

  #addFflags(bits: number): void {
    this.fflags = (this.fflags | bits) >>> 0;
    this.given |= Given.Fflags;
  }
}

/** `500`, `500ms`, `2s` or `1m` in milliseconds; null when it is none. */
function parsePeriod(text: string): number | bigint | null {
  const match = /^(-?[0-9]{1,20})(ms|s|m)$/.exec(text);
  if (match === null) return parseInteger64(text);
  const value = BigInt(match[1]!) * periodUnits.get(match[2]!)!;
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  return value > HIGHEST_SIGNED || value < -HIGHEST_SIGNED ? null : value;
}
