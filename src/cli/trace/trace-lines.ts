import { parseArgument, TRACE_TYPES } from '../../tree/trace/line.ts';
import { emptyRecord, type TraceRecord, TraceType } from '../../tree/trace/record-ring.ts';

// Lines of info/trace.json, one character a byte as they come from the file.

const US_PER_SECOND = 1_000_000;

/** The fields of a line; which there are depends on its type and call. the guide lists them. */
export interface TraceFields {
  readonly type: (typeof TRACE_TYPES)[number];
  readonly time: number;
  readonly duration?: number;
  readonly blocked?: number;
  readonly pid?: number;
  readonly process?: number;
  readonly parent?: number;
  readonly command?: string;
  readonly call?: string;
  readonly object?: string;
  readonly inode?: number;
  readonly handle?: number;
  readonly size?: number;
  readonly flags?: string;
  readonly events?: string;
  readonly request?: string;
  readonly mode?: string;
  readonly offset?: number;
  readonly fill?: number;
  readonly wait?: string;
  readonly event?: string;
  readonly to?: string;
  readonly result?: number;
  readonly error?: string;
  /** In base64. */
  readonly content?: string;
  readonly lines?: number;
}

const NUMBERS = 'time duration blocked pid process parent inode handle size offset fill result lines';
const TEXTS = 'command call object flags events request mode wait event to error content';
const typeNames: ReadonlyMap<string, string> = new Map([
  ...NUMBERS.split(' ').map((name) => [name, 'number'] as const),
  ...TEXTS.split(' ').map((name) => [name, 'string'] as const),
]);

/** Null for what is no line of a trace. The mount may be somebody else's, and may write anything. */
export function parseTraceLine(line: string): TraceFields | null {
  let fields: TraceFields | null;
  try {
    fields = JSON.parse(line) as TraceFields | null;
  } catch {
    return null;
  }
  if (typeof fields !== 'object' || fields === null) return null;
  if (!TRACE_TYPES.includes(fields.type) || fields.time === undefined) return null;
  for (const [name, value] of Object.entries(fields)) {
    const typeName = typeNames.get(name);
    if (typeName !== undefined && typeof value !== typeName) return null;
    if (typeName === 'number' && !Number.isFinite(value)) return null;
  }
  // What could steer a terminal is \uXXXX in a line, and one character then.
  return line.includes(String.raw`\u`) ? (bytewise(fields) as TraceFields) : fields;
}

/** With texts that have one character a byte. */
function bytewise(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' && /[^\0-\xff]/.test(value) ? Buffer.from(value).toString('latin1') : value,
    ]),
  );
}

function microseconds(seconds: number | undefined): number {
  return Math.round((seconds ?? 0) * US_PER_SECOND);
}

/** The record that a line was made from. */
export function recordOf(fields: TraceFields): TraceRecord {
  const type = TRACE_TYPES.indexOf(fields.type) as TraceType;
  const { process, parent = 0, command = '', content } = fields;
  return {
    ...emptyRecord(),
    type,
    timeUs: microseconds(fields.time),
    durationUs: microseconds(fields.duration),
    blockedUs: microseconds(fields.blocked),
    pid: fields.pid ?? 0,
    caller: process === undefined ? null : { process, parent, command },
    call: fields.call ?? '',
    object: fields.object ?? '-',
    inode: fields.inode ?? -1,
    handle: fields.handle ?? -1,
    argument: fields.size ?? parseArgument(fields),
    offset: fields.offset ?? -1,
    fill: fields.fill ?? -1,
    result: (type === TraceType.Lost ? fields.lines : fields.result) ?? 0,
    detail: fields.wait ?? fields.event ?? fields.to ?? '',
    content: content === undefined ? null : contentOf(content),
  };
}

/** The bytes of a call. */
export function contentOf(content: string): Buffer {
  return Buffer.from(content, 'base64');
}
