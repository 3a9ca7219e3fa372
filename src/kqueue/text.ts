import { errnoName, negatedErrno } from '../kern/errno.ts';
import { printableText } from '../kern/printable.ts';
import { type Change, EV_ADD, EV_ERROR, Given, type Ident, type Kevent, NOTE_FFLAGSMASK } from './kevent.ts';
import type { Filter } from './filters/filter.ts';
import { filterOf, namesFile } from './filters/list.ts';
import { formatHex, HIGHEST_SIGNED, parseInteger64 } from './numbers.ts';
import { filterName, filterNumbers, flagOptions, formatFflags, formatFlags, verbFlags } from './words.ts';

// The text form, one line a change or an event:
//
//   change = verb filter ident { option }          verb = add | delete | enable | disable | modify
//   event  = filter ident data= flags= fflags= udata=
//   error  = error filter ident errno= udata= [ reason ]
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
const HIGHEST_FFLAGS = 0xffff_ffff;

export function isProblem(result: object): result is Problem {
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
  const filter = filterOf(filterNumbers.get(filterWord.text) ?? 0);
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
  const isAdded = (flags & EV_ADD) !== 0;
  const areNotesGiven = (parser.given & Given.Fflags) !== 0;
  const canonical = formatIdent({ ident, filter: filter.number, label: null });
  return {
    ident,
    filter: filter.number,
    flags: parser.flags,
    fflags: isAdded && !areNotesGiven ? (filter.notesByDefault ?? 0) : parser.fflags,
    data: parser.data,
    udata: parser.udata,
    label: canonical === identWord.text ? null : identWord.text,
    given: isAdded ? Given.Everything : parser.given,
  };
}

/** The line of an event, or of a record about a change, with its newline. */
export function formatLine(event: Kevent): string {
  const head = `${filterName(event.filter)} ${formatIdent(event)}`;
  const udata = `udata=${formatUdata(event)}`;
  if (event.flags === EV_ERROR) {
    const result = negatedErrno(Number(event.data));
    const reason = (event.reason ?? null) === null ? '' : ` ${event.reason!}`;
    return `error ${head} errno=${result === 0 ? '0' : errnoName(result)} ${udata}${reason}\n`;
  }
  const data = filterOf(event.filter)?.formatData?.(event) ?? String(event.data);
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

/** A token for a message, cut when it is long. */
function quote(text: string): string {
  const cut = text.length > QUOTED_LENGTH ? `${text.slice(0, QUOTED_LENGTH)}...` : text;
  return `"${printableText(cut)}"`;
}

function unknown(what: string, word: Word): Problem {
  return { column: word.column, message: `unknown ${what} ${quote(word.text)}` };
}

/** Null when the word cannot be an ident of this filter. */
function parseIdent(filter: Filter, word: string): Ident | null {
  if (filter.identKind === 'file') {
    if (!word.startsWith('fd:')) return word;
    const descriptor = parseInteger64(word.slice('fd:'.length));
    return descriptor === null || descriptor < 0 ? null : descriptor;
  }
  const number = parseInteger64(word);
  if (number !== null) return number < 0 ? null : number;
  return filter.identNamed?.(word) ?? null;
}

/** Collects the options of one change. */
class OptionParser {
  readonly #filter: Filter;
  readonly #seen = new Set<string>();
  flags: number;
  fflags = 0;
  data: number | bigint = 0;
  udata: string | number = 0;
  given = 0;

  constructor(filter: Filter, flags: number) {
    this.#filter = filter;
    this.flags = flags;
  }

  /** Null, or what is wrong with the option. */
  take(option: string): string | null {
    const equals = option.indexOf('=');
    if (equals < 0) return this.#takeWord(option);
    const name = option.slice(0, equals);
    const value = option.slice(equals + 1);
    const operation = this.#filter.noteOperations?.get(name);
    const problem =
      operation === undefined ? this.#takeValue(name, value) : this.#takeOperation(operation, value);
    if (problem === null) return null;
    return problem === '' ? `unknown option ${quote(option)}` : `${quote(option)}: ${problem}`;
  }

  #takeWord(word: string): string | null {
    const flag = flagOptions.get(word);
    if (flag !== undefined) {
      this.flags |= flag;
      return null;
    }
    const note = this.#filter.notes.get(word);
    if (note === undefined) return `unknown option ${quote(word)}`;
    this.#addFflags(note);
    return null;
  }

  /** Null, or what is wrong with the value; '' when there is no such option. */
  #takeValue(name: string, value: string): string | null {
    const isRepeated = this.#isRepeated(name);
    switch (name) {
      case 'data': {
        const data = (this.#filter.parseData ?? parseInteger64)(value);
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

  /** `NAME=BITS`, of which a change may have one. */
  #takeOperation(operation: number, value: string): string | null {
    const isRepeated = this.#isRepeated('operation');
    const bits = parseInteger64(value);
    if (bits === null || bits < 0 || bits > NOTE_FFLAGSMASK) return 'not an integer of 24 bits';
    this.#addFflags((operation | Number(bits)) >>> 0);
    return isRepeated ? 'given twice' : null;
  }

  #isRepeated(option: string): boolean {
    const isRepeated = this.#seen.has(option);
    this.#seen.add(option);
    return isRepeated;
  }

  #addFflags(bits: number): void {
    this.fflags = (this.fflags | bits) >>> 0;
    this.given |= Given.Fflags;
  }
}
