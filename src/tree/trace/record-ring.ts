import type { CallerDescription } from '../../kern/host.ts';

/** What a line of the trace is about. */
export const TraceType = { End: 0, Wait: 1, Event: 2, Lost: 3 } as const;
export type TraceType = (typeof TraceType)[keyof typeof TraceType];

/** What a line is made from. -1 stands for a number that there is not. */
export interface TraceRecord {
  type: TraceType;
  /** When the call began, or the event was delivered, in microseconds since 1970. */
  timeUs: number;
  durationUs: number;
  /** How long the call was blocked. */
  blockedUs: number;
  /** The thread; 0 when it is not known. */
  pid: number;
  caller: CallerDescription | null;
  call: string;
  object: string;
  inode: number;
  handle: number;
  argument: number;
  /** Where the first byte that was moved lies in the stream of the pipe. */
  offset: number;
  /** Bytes queued in the pipe after the call. */
  fill: number;
  /** A count or 0, or a negative errno; of a Lost line, the number of lines. */
  result: number;
  /** What the call waits for, the path that it gives, or the event; empty for none. */
  detail: string;
  content: Uint8Array | null;
  /** Who may see the content beside root. */
  ownerUid: number;
}

export function emptyRecord(): TraceRecord {
  return {
    type: TraceType.End,
    timeUs: 0,
    durationUs: 0,
    blockedUs: 0,
    pid: 0,
    caller: null,
    call: '',
    object: '',
    inode: -1,
    handle: -1,
    argument: -1,
    offset: -1,
    fill: -1,
    result: 0,
    detail: '',
    content: null,
    ownerUid: 0,
  };
}

const NUMBERS = 12;
const REFERENCES = 5;
/** What one record takes in the ring. */
export const RECORD_BYTES = (NUMBERS + REFERENCES) * 8;

/**
 * The last records of a mount, which all readers share: a record is one store, however many read. Numbers lie in one array of doubles,
 * so recording allocates nothing. The oldest records make room for new ones; positions count up from 0.
 */
export class RecordRing {
  /** Position of the oldest record, and of the one that comes next. */
  first = 0;
  next = 0;
  readonly #capacity: number;
  readonly #contentLimitBytes: number;
  #contentBytes = 0;
  readonly #numbers: Float64Array;
  readonly #references: (CallerDescription | string | Uint8Array | null)[];

  /** Half of `sizeBytes` is for records, half for their contents. */
  constructor(sizeBytes: number) {
    this.#capacity = Math.max(1, Math.floor(sizeBytes / 2 / RECORD_BYTES));
    this.#contentLimitBytes = Math.floor(sizeBytes / 2);
    this.#numbers = new Float64Array(this.#capacity * NUMBERS);
    this.#references = new Array<null>(this.#capacity * REFERENCES).fill(null);
  }

  /** Adds a copy of the record; content that is longer than all contents may be is left out. */
  add(record: TraceRecord): void {
    let { content } = record;
    if (content !== null && content.length > this.#contentLimitBytes) content = null;
    const contentBytes = content?.length ?? 0;
    while (
      this.next - this.first === this.#capacity ||
      (contentBytes > 0 && this.#contentBytes + contentBytes > this.#contentLimitBytes)
    ) {
      this.#dropFirst();
    }
    this.#contentBytes += contentBytes;
    const slot = this.next % this.#capacity;
    const numbers = this.#numbers;
    let at = slot * NUMBERS;
    numbers[at++] = record.type;
    numbers[at++] = record.timeUs;
    numbers[at++] = record.durationUs;
    numbers[at++] = record.blockedUs;
    numbers[at++] = record.pid;
    numbers[at++] = record.inode;
    numbers[at++] = record.handle;
    numbers[at++] = record.argument;
    numbers[at++] = record.offset;
    numbers[at++] = record.fill;
    numbers[at++] = record.result;
    numbers[at] = record.ownerUid;
    const references = this.#references;
    at = slot * REFERENCES;
    references[at++] = record.caller;
    references[at++] = record.call;
    references[at++] = record.object;
    references[at++] = record.detail;
    references[at] = content;
    this.next++;
  }

  /** Fills `record` with the one at `position`, which must be there. */
  copyTo(position: number, record: TraceRecord): void {
    const slot = position % this.#capacity;
    const numbers = this.#numbers;
    let at = slot * NUMBERS;
    record.type = numbers[at++] as TraceType;
    record.timeUs = numbers[at++]!;
    record.durationUs = numbers[at++]!;
    record.blockedUs = numbers[at++]!;
    record.pid = numbers[at++]!;
    record.inode = numbers[at++]!;
    record.handle = numbers[at++]!;
    record.argument = numbers[at++]!;
    record.offset = numbers[at++]!;
    record.fill = numbers[at++]!;
    record.result = numbers[at++]!;
    record.ownerUid = numbers[at]!;
    const references = this.#references;
    at = slot * REFERENCES;
    record.caller = references[at++] as CallerDescription | null;
    record.call = references[at++] as string;
    record.object = references[at++] as string;
    record.detail = references[at++] as string;
    record.content = references[at] as Uint8Array | null;
  }

  #dropFirst(): void {
    const at = (this.first % this.#capacity) * REFERENCES;
    this.#contentBytes -= (this.#references[at + REFERENCES - 1] as Uint8Array | null)?.length ?? 0;
    this.#references.fill(null, at, at + REFERENCES);
    this.first++;
  }
}
