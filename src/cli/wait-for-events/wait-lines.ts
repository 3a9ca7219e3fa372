import { CommandFailure } from '../failures.ts';

/** A line that the mount answers, as --json prints it: an event, or the record of a change. */
export type Answer = EventAnswer | RecordAnswer;

interface EventAnswer {
  readonly filter: string;
  /** As the text form has it: a path, fd:N, or a number. */
  readonly ident: string;
  /** A string when JSON's readers could not keep it apart from its neighbours. */
  readonly data: number | string;
  readonly flags: readonly string[];
  readonly fflags: readonly string[];
  readonly udata: string | null;
}

interface RecordAnswer {
  readonly filter: string;
  readonly ident: string;
  /** Why the change was refused: ENOENT. `0` for one that was made, and asked for a receipt. */
  readonly error: string;
  readonly udata: string | null;
  /** What the mount says besides; not there when it says nothing. */
  readonly reason?: string;
}

const RECEIPT = '0';
/** `errno=` and `udata=`. */
const RECORD_FIELDS = 2;

/** Reads a line of the text form, one character a byte, without its newline. */
export function parseAnswer(line: string): Answer {
  const all = Buffer.from(line, 'latin1').toString().split(' ');
  const isRecord = all[0] === 'error';
  const [filter, ident, ...fields] = isRecord ? all.slice(1) : all;
  // The rest of a record is for people.
  const reason = isRecord ? fields.splice(RECORD_FIELDS).join(' ') : '';
  const values = new Map(fields.map((field) => splitField(field)));
  const udata = optional(values.get('udata'));
  const head = { filter: filter!, ident: ident! };
  if (isRecord) return { ...head, error: values.get('errno')!, udata, ...(reason === '' ? {} : { reason }) };
  return {
    ...head,
    data: numberOf(values.get('data')!),
    flags: list(values.get('flags')!, '-'),
    fflags: list(values.get('fflags')!, '0'),
    udata,
  };
}

/** Whether the line is an event, and no record of a change. */
export function isEvent(answer: Answer): answer is EventAnswer {
  return 'data' in answer;
}

/** What a refused change is reported with; null when the answer is no refusal. */
export function refusal(answer: Answer): CommandFailure | null {
  if (isEvent(answer) || answer.error === RECEIPT) return null;
  return new CommandFailure(
    `the mount refused '${answer.filter} ${answer.ident}' (${answer.error}): ${answer.reason ?? advice(answer)}`,
  );
}

const pathFilters = new Set(['read', 'write', 'vnode', 'except']);

function advice({ filter, ident, error }: RecordAnswer): string {
  switch (error) {
    case 'ENOENT':
      return pathFilters.has(filter) && !ident.startsWith('fd:')
        ? `there is no ${ident}, counted from the mount's root, or it was not added before`
        : `'add ${filter} ${ident}' comes first`;
    case 'ENOTDIR':
      return 'a part of the path is no directory';
    case 'EACCES':
    case 'EPERM':
      return 'you may not watch it: ask its owner, or run as root';
    case 'EBADF':
      return 'that descriptor is not open: redirect it, as in 5<>DIR/pipes/a';
    case 'ESRCH':
      return `there is no process ${ident}`;
    case 'EINVAL':
      return `${filter} has nothing to watch there: choose another filter or ident`;
    case 'EOPNOTSUPP':
      return "this mount has no source of such events: see 'ipcfs doctor'";
    case 'ENOMEM':
      return 'there are too many: raise a limit in sysctl/kern, or watch less';
    default:
      return "see 'ipcfs help kqueue'";
  }
}

function splitField(field: string): [name: string, value: string] {
  const equals = field.indexOf('=');
  return [field.slice(0, equals), field.slice(equals + 1)];
}

function optional(value: string | undefined): string | null {
  return value === undefined || value === '-' ? null : value;
}

function list(value: string, none: string): string[] {
  return value === none ? [] : value.split(',');
}

function numberOf(text: string): number | string {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : text;
}
