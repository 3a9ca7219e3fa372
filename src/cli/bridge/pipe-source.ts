import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Framing } from './pipe-options.ts';
import type { RecordSource, TakenRecord } from './records.ts';

const NEWLINE = 10;
/** Bytes of one read: the rest of a longer line follows, but that of a longer record would look like another record. */
const readBytes: Readonly<Record<Framing, number>> = { lines: 2 ** 16, records: 2 ** 20 };
/** How long a finished record may stay with its open file while nothing else is read through it. */
const IDLE_MS = 50;

/** An open file: it holds one record. */
interface Slot {
  file: FileHandle | null;
}

/**
 * The records of a pipe. Each open file leases one record, so the source has one for each record under way. The lease ends with the
 * next read through the same file, or its close; a process that is killed gives all its leases back.
 */
export class PipeSource implements RecordSource {
  readonly #path: string;
  readonly #framing: Framing;
  readonly #check: () => Promise<unknown>;
  readonly #buffer: Buffer;
  /** Slots whose record is finished, in the order in which that happened. */
  #free: Slot[] = [];
  #isClosingLater = false;
  /** Records that were taken or are being taken. */
  #unfinishedCount = 0;

  /** `check`: fails when the pipe does not keep records any more. */
  constructor(path: string, framing: Framing, check: () => Promise<unknown>) {
    this.#path = path;
    this.#check = check;
    this.#framing = framing;
    this.#buffer = Buffer.allocUnsafe(readBytes[framing]);
  }

  get hasUnfinished(): boolean {
    return this.#unfinishedCount > 0;
  }

  async take(): Promise<TakenRecord> {
    this.#unfinishedCount++;
    const slot = this.#free.shift() ?? { file: null };
    slot.file ??= await open(this.#path, constants.O_RDONLY);
    const bytes = await this.#read(slot.file);
    return {
      bytes,
      finish: () => {
        this.#unfinishedCount--;
        this.#free.push(slot);
        this.#closeLater();
      },
    };
  }

  /** Reads a record; of lines without the newline. */
  async #read(file: FileHandle): Promise<Uint8Array> {
    const pieces: Buffer[] = [];
    for (;;) {
      const { bytesRead } = await file.read(this.#buffer, 0, this.#buffer.length, null);
      if (bytesRead === 0) {
        // A time-out of the pipe looks the same.
        await this.#check();
        continue;
      }
      const isEnd = this.#framing !== 'lines' || this.#buffer[bytesRead - 1] === NEWLINE;
      const length = isEnd && this.#framing === 'lines' ? bytesRead - 1 : bytesRead;
      // The next read uses the buffer again.
      pieces.push(Buffer.from(this.#buffer.subarray(0, length)));
      if (isEnd) return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    }
  }

  async close(): Promise<void> {
    await this.#closeFree();
    // The mount hears of a close a moment later, but before it answers this.
    await stat(this.#path);
  }

  #closeLater(): void {
    if (this.#isClosingLater) return;
    this.#isClosingLater = true;
    setTimeout(() => {
      this.#isClosingLater = false;
      void this.#closeFree();
    }, IDLE_MS);
  }

  /** Ends the leases of finished records. */
  async #closeFree(): Promise<void> {
    const slots = this.#free;
    this.#free = [];
    for (const { file } of slots) await file?.close();
  }
}
