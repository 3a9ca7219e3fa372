import type { ReadUio } from '../../kern/uio.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { bytesOfText } from '../../vfs/text-file.ts';
import { type ContentForm, jsonContent, textContent } from './content.ts';
import { jsonLine, textLine } from './line.ts';
import { emptyRecord, type RecordRing, TraceType } from './record-ring.ts';

export const TraceForm = { Text: 0, Json: 1 } as const;
export type TraceForm = (typeof TraceForm)[keyof typeof TraceForm];

/** Text that is made at once: some 0.3 ms of work. */
export const BATCH_BYTES = 65_536;
/** Bytes of a content that are written at once: a multiple of 3, for base64. As text they have four times as many characters at most. */
const CONTENT_STEP_BYTES = 16_383;
/** About what a line has. */
const LINE_BYTES = 128;

/** A content of which a part has been written. */
interface Remainder {
  readonly content: Uint8Array;
  position: number;
}

/** One open of info/trace: where it reads, what it wants, and text that it has not read yet. */
export class TraceReader {
  readonly file: OpenFile;
  readonly form: TraceForm;
  readonly #ring: RecordRing;
  /** Position of the next record. */
  #position: number;
  /** The trace ends before this position. */
  #endPosition = Infinity;
  #text: Uint8Array = new Uint8Array(0);
  #textAt = 0;
  #remainder: Remainder | null = null;
  readonly #record = emptyRecord();
  /** Bytes of each call that it wants to see. */
  contentBytes = 0;
  /** Before that its next batch is not made. */
  nextBatchMs = 0;

  constructor(file: OpenFile, form: TraceForm, ring: RecordRing) {
    this.file = file;
    this.form = form;
    this.#ring = ring;
    this.#position = ring.next;
  }

  /** Whether text lies ready. */
  get hasText(): boolean {
    return this.#textAt < this.#text.length;
  }

  /** Whether there is something to make text from. */
  get hasLines(): boolean {
    return this.#remainder !== null || this.#position < Math.min(this.#ring.next, this.#endPosition);
  }

  /** Whether there is enough for a whole batch. */
  get hasBatch(): boolean {
    return this.#remainder !== null || (this.#ring.next - this.#position) * LINE_BYTES >= BATCH_BYTES;
  }

  /** The reader has asked for the end, and has everything up to it. */
  get isAtEnd(): boolean {
    return this.#endPosition !== Infinity && !this.hasLines && !this.hasText;
  }

  /** Nothing that happens from now on is read. */
  end(): void {
    this.#endPosition = Math.min(this.#endPosition, this.#ring.next);
  }

  /** Whether the file's opener may see bytes of somebody's object, as in info/content. */
  mayRead(ownerUid: number): boolean {
    const { uid } = this.file.credentials;
    return uid === 0 || uid === ownerUid;
  }

  /** Makes the text of the next lines. `nowUs`: the time of a line that says how many were lost. */
  makeBatch(nowUs: number): void {
    const lines: string[] = [];
    for (let sizeBytes = 0; sizeBytes < BATCH_BYTES && this.hasLines;) {
      const line = this.#remainder === null ? this.#nextLine(nowUs) : this.#goOn(this.#remainder);
      sizeBytes += line.length;
      lines.push(line);
    }
    // Joined, it is one flat string, whose characters are found four times as fast.
    this.#text = bytesOfText(lines.join(''));
    this.#textAt = 0;
  }

  /** Hands over text. Bytes, or a negative errno. */
  take(uio: ReadUio): number {
    const length = Math.min(uio.residual, this.#text.length - this.#textAt);
    const fault = uio.moveOut(this.#text, this.#textAt, length);
    if (fault !== 0) return fault;
    this.#textAt += length;
    return length;
  }

  #nextLine(nowUs: number): string {
    const ring = this.#ring;
    const record = this.#record;
    const form = this.form === TraceForm.Text ? textContent : jsonContent;
    const lineOf = this.form === TraceForm.Text ? textLine : jsonLine;
    const lost = Math.min(ring.first, this.#endPosition) - this.#position;
    if (lost > 0) {
      this.#position += lost;
      return lineOf({ ...emptyRecord(), type: TraceType.Lost, timeUs: nowUs, result: lost }) + form.without;
    }
    ring.copyTo(this.#position++, record);
    const line = lineOf(record);
    const { content } = record;
    if (content === null || this.contentBytes === 0 || !this.mayRead(record.ownerUid))
      return line + form.without;
    return line + this.#contentOf(content.subarray(0, this.contentBytes), form);
  }

  #contentOf(content: Uint8Array, form: ContentForm): string {
    if (content.length <= CONTENT_STEP_BYTES) return form.begin + form.encode(content) + form.end;
    this.#remainder = { content, position: 0 };
    return form.begin;
  }

  #goOn(remainder: Remainder): string {
    const form = this.form === TraceForm.Text ? textContent : jsonContent;
    const { content, position } = remainder;
    remainder.position += CONTENT_STEP_BYTES;
    const text = form.encode(content.subarray(position, remainder.position));
    if (remainder.position < content.length) return text;
    this.#remainder = null;
    return text + form.end;
  }
}
