import { BadRequest } from '../control/request-file.ts';
import { quoted } from '../control/words.ts';
import { parseInteger } from '../../kern/sysctl.ts';
import { signalNumber } from '../../kqueue/filters/signal.ts';
import {
  actionRules,
  errnoNamesOf,
  errnoOf,
  FAULT_CALLS,
  type FaultAction,
  type FaultCall,
  isPossible,
  OBJECT_KINDS,
  type ObjectKind,
  objectsOf,
} from './fault-actions.ts';
import { PathPattern } from './path-pattern.ts';
import { MOST_CALLS, type Schedule } from './schedule.ts';

/** A call that is larger comes in several requests, of which the later ones are not seen as calls. */
const LARGEST_PIECE_BYTES = 65_536;
const LONGEST_DELAY_MS = 60 * 60 * 1000;
const timeUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

const ACTIONS = 'errno=NAME, short=N, split=N, delay=TIME, eof, hangup, signal=NAME or stall';

/** What a fault is to do, and when. */
export interface FaultSpec {
  readonly pattern: PathPattern;
  readonly call: FaultCall | 'any';
  readonly action: FaultAction;
  readonly schedule: Schedule;
  /** The process whose calls it hits; 0 for all. */
  readonly pid: number;
  /** Hits at most. */
  readonly count: number;
}

/** `OBJECT-GLOB CALL ACTION [when=N|every=N|p=0.1 seed=S] [pid=N] [count=N]`. */
export function parseFault(words: readonly string[]): FaultSpec {
  const [patternWord, callWord, actionWord, ...options] = words;
  if (patternWord === undefined || callWord === undefined || actionWord === undefined) {
    throw new BadRequest('write fault add OBJECT CALL ACTION: fault add pipes/* read short=1');
  }
  const problem = PathPattern.problemOf(patternWord);
  if (problem !== null) throw new BadRequest(problem);
  const pattern = new PathPattern(patternWord);
  const call = parseCall(callWord);
  const action = parseAction(actionWord);
  checkPossible(pattern, call, action);
  return { pattern, call, action, ...parseOptions(options) };
}

function parseCall(word: string): FaultCall | 'any' {
  const call = [...FAULT_CALLS, 'any' as const].find((name) => name === word);
  if (call === undefined) {
    throw new BadRequest(`unknown call ${quoted(word)}: use ${FAULT_CALLS.join(', ')} or any`);
  }
  return call;
}

function parseAction(text: string): FaultAction {
  const [name, value] = splitOption(text);
  switch (name) {
    case 'eof':
    case 'hangup':
    case 'stall':
      if (value !== undefined) throw new BadRequest(`${name} takes no value: write ${name}`);
      return { kind: name, text };
    case 'short':
    case 'split':
      return { kind: name, text, sizeBytes: parseRange(name, value, 1, LARGEST_PIECE_BYTES) };
    case 'delay':
      return { kind: name, text, delayMs: parseTime(value) };
    case 'errno': {
      const result = value === undefined ? null : errnoOf(value);
      if (result === null)
        throw new BadRequest(
          `errno takes the name of an error, as errno=EIO: no call here fails with ${quoted(value ?? '')}`,
        );
      return { kind: name, text, result };
    }
    case 'signal': {
      const upper = value?.toUpperCase().replace(/^SIG/, '');
      if (upper === undefined || signalNumber(upper) === null)
        throw new BadRequest(`signal takes a name, as signal=USR1, and not ${quoted(value ?? '')}`);
      return { kind: name, text, signal: upper };
    }
    default:
      throw new BadRequest(`unknown action ${quoted(text)}: use ${ACTIONS}`);
  }
}

/** The kinds of objects that a pattern can match. */
function kindsOf({ firstPart }: PathPattern): readonly ObjectKind[] {
  if (firstPart.includes('*')) return OBJECT_KINDS;
  if (firstPart === 'pipes' || firstPart === 'pairs') return ['stream'];
  if (firstPart === 'kqueues' || firstPart === 'kqueue' || firstPart === 'kqueue.bin') return ['queue'];
  if (firstPart === 'shm') return ['segment'];
  throw new BadRequest(
    `nothing in ${quoted(firstPart)} can be broken: a pattern begins with pipes/, pairs/, kqueues/, kqueue, kqueue.bin or shm/`,
  );
}

function checkPossible(pattern: PathPattern, called: FaultCall | 'any', action: FaultAction): void {
  const kinds = kindsOf(pattern);
  const calls = called === 'any' ? FAULT_CALLS : [called];
  if (calls.some((call) => kinds.some((kind) => isPossible(action, call, kind)))) return;
  if (called !== 'any' && !objectsOf(called).some((kind) => kinds.includes(kind))) {
    throw new BadRequest('attach and size are calls on shm/, open, read, write, poll and ioctl on all else');
  }
  const rule = actionRules[action.kind];
  const isErrno = action.kind === 'errno' && called !== 'any' && rule.calls.includes(called);
  if (isErrno) {
    throw new BadRequest(
      `${called} does not fail with ${action.text.slice(6)}: use ${errnoNamesOf(called).join(', ')}`,
    );
  }
  throw new BadRequest(`${action.kind} goes with ${rule.calls.join(', ')}: ${rule.reason}`);
}

function parseOptions(options: readonly string[]): Pick<FaultSpec, 'schedule' | 'pid' | 'count'> {
  const values = new Map<string, string>();
  for (const option of options) {
    const [name, value] = splitOption(option);
    if (!['when', 'every', 'p', 'seed', 'pid', 'count'].includes(name) || value === undefined)
      throw new BadRequest(
        `unknown word ${quoted(option)}: use when=N, every=N, p=0.1 seed=S, pid=N or count=N`,
      );
    if (values.has(name)) throw new BadRequest(`${name} is given twice: leave one out`);
    values.set(name, value);
  }
  const number = (name: string, least: number): number =>
    parseRange(name, values.get(name), least, MOST_CALLS);
  const chosen = ['when', 'every', 'p'].filter((name) => values.has(name));
  if (chosen.length > 1) throw new BadRequest(`${chosen.join(' and ')} exclude each other: use one`);
  if (values.has('seed') && !values.has('p')) throw new BadRequest('seed goes with p: add p=0.1');
  if (values.has('when') && values.has('count')) throw new BadRequest('when hits one call: leave count out');
  let schedule: Schedule = { kind: 'always' };
  if (values.has('when')) schedule = { kind: 'when', number: number('when', 1) };
  if (values.has('every')) schedule = { kind: 'every', number: number('every', 1) };
  const probabilityText = values.get('p');
  if (probabilityText !== undefined) {
    schedule = {
      kind: 'random',
      probability: parseProbability(probabilityText),
      probabilityText,
      seed: values.has('seed') ? number('seed', 0) : 0,
    };
  }
  return {
    schedule,
    pid: values.has('pid') ? number('pid', 1) : 0,
    count: values.has('when') ? 1 : values.has('count') ? number('count', 1) : Infinity,
  };
}

function splitOption(text: string): [name: string, value: string | undefined] {
  const at = text.indexOf('=');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function parseRange(name: string, word: string | undefined, least: number, most: number): number {
  const value = word === undefined ? null : parseInteger(word);
  if (value === null || value < least || value > most)
    throw new BadRequest(`${name} takes a number from ${least} to ${most}, and not ${quoted(word ?? '')}`);
  return value;
}

function parseProbability(word: string): number {
  const value = /^(\d{1,3}(\.\d{1,15})?|\.\d{1,15})$/.test(word) ? Number(word) : -1;
  if (value <= 0 || value > 1)
    throw new BadRequest(`p takes a probability above 0, up to 1, as p=0.1, and not ${quoted(word)}`);
  return value;
}

function parseTime(word = ''): number {
  const match = /^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m)$/.exec(word);
  const timeMs = match === null ? 0 : Number(match[1]) * timeUnitsMs[match[2]!]!;
  if (timeMs <= 0 || timeMs > LONGEST_DELAY_MS)
    throw new BadRequest(`delay takes a time up to 60m, as delay=500ms or delay=2s, and not ${quoted(word)}`);
  return timeMs;
}
