import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Framing } from './pipe-options.ts';
import type { RecordSink } from './records.ts';

const NEWLINE = 10;
const newline = Uint8Array.of(NEWLINE);

/** Fills a pipe with records. */
export class PipeSink implements RecordSink {
  readonly #path: string;
  readonly #framing: Framing;
  #file: FileHandle | null = null;
  #putCount = 0;
  #putBytes = 0;
  /** Where records end that may not have been read, counted in bytes, oldest first. */
  readonly #ends: number[] = [];

  constructor(path: string, framing: Framing) {
    this.#path = path;
    this.#framing = framing;
  }

  async put(records: readonly Uint8Array[]): Promise<void> {
    this.#file ??= await open(this.#path, constants.O_WRONLY);
    if (this.#framing === 'records') {
      for (const record of records) await this.#write(this.#file, record);
    } else {
      await this.#write(this.#file, Buffer.concat(records.flatMap(asLine)));
    }
    for (const record of records) {
      this.#putBytes += lengthOf(record, this.#framing);
      this.#ends.push(this.#putBytes);
    }
    this.#putCount += records.length;
  }

  /**
   * The size of the pipe is what is queued. Bytes of other writers, and records that came back from a worker that was killed, count
   * as ours: a record may be taken for waiting that is not, and never the other way round.
   */
  async readCount(): Promise<number> {
    const { size } = await stat(this.#path);
    const readBytes = this.#putBytes - size;
    while (this.#ends.length > 0 && this.#ends[0]! <= readBytes) this.#ends.shift();
    return this.#putCount - this.#ends.length;
  }

  async #write(file: FileHandle, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at, null);
      at += bytesWritten;
    }
  }
}

function isLine(record: Uint8Array): boolean {
  return record.at(-1) === NEWLINE;
}

function asLine(record: Uint8Array): Uint8Array[] {
  return isLine(record) ? [record] : [record, newline];
}

function lengthOf(record: Uint8Array, framing: Framing): number {
  return record.length + (framing === 'records' || isLine(record) ? 0 : 1);
}
