import { constants, readSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Framing } from './pipe-options.ts';
import type { RecordSource, TakenRecord } from './records.ts';

const NEWLINE = 10;
/** Bytes of one read: the rest of a longer line follows, but that of a longer record would look like another record. */
const readBytes: Readonly<Record<Framing, number>> = { lines: 2 ** 16, records: 2 ** 20 };
/** How long a finished record may stay with its open file while nothing else is read through it. */
const IDLE_MS = 50;

/** How long to wait for more of a record that comes in pieces, in milliseconds. */
const PIECE_DELAY_MS = 1;

/** An open file: it holds one record. One that waits reads in a thread of its own, the others in this one, which is faster. */
interface Slot {
  file: FileHandle | null;
  readonly waits: boolean;
}

/**
 * The records of a pipe. Each open file leases one record, so the source has one for each record under way. The lease ends with the
 * next read through the same file, or its close; a process that is killed gives all its leases back. Records that lie in the pipe are read
 * at once, without a change of threads; the source waits for the next one through a file that is open without O_NONBLOCK.
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
    let slot = this.#freeSlot(false);
    let bytes = await this.#readNow(slot);
    if (bytes === null) {
      this.#free.unshift(slot);
      slot = this.#freeSlot(true);
      bytes = await this.#read(slot);
    }
    return {
      bytes,
      finish: () => {
        this.#unfinishedCount--;
        this.#free.push(slot);
        this.#closeLater();
      },
    };
  }

  #freeSlot(waits: boolean): Slot {
    const at = this.#free.findIndex((slot) => slot.waits === waits);
    return at < 0 ? { file: null, waits } : this.#free.splice(at, 1)[0]!;
  }

  async #fileOf(slot: Slot): Promise<FileHandle> {
    const flags = constants.O_RDONLY | (slot.waits ? 0 : constants.O_NONBLOCK);
    return (slot.file ??= await open(this.#path, flags));
  }

  /** Reads a record that lies in the pipe; null when there is none. */
  async #readNow(slot: Slot): Promise<Uint8Array | null> {
    const { fd } = await this.#fileOf(slot);
    const readPiece = (): number => {
      try {
        return readSync(fd, this.#buffer, 0, this.#buffer.length, null);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        return 0;
      }
    };
    const first = readPiece();
    if (first === 0) return null;
    return this.#collect(first, async () => {
      let length: number;
      while ((length = readPiece()) === 0) await delay(PIECE_DELAY_MS);
      return length;
    });
  }

  /** Reads a record, and waits for it. */
  async #read(slot: Slot): Promise<Uint8Array> {
    const file = await this.#fileOf(slot);
    const readPiece = async (): Promise<number> => {
      for (;;) {
        const { bytesRead } = await file.read(this.#buffer, 0, this.#buffer.length, null);
        if (bytesRead > 0) return bytesRead;
        // A time-out of the pipe looks the same.
        await this.#check();
      }
    };
    return this.#collect(await readPiece(), readPiece);
  }

  /** A record, of lines without the newline, whose first `bytesRead` bytes lie in the buffer. */
  async #collect(bytesRead: number, readPiece: () => Promise<number>): Promise<Uint8Array> {
    const pieces: Buffer[] = [];
    for (;;) {
      const isEnd = this.#framing !== 'lines' || this.#buffer[bytesRead - 1] === NEWLINE;
      const length = isEnd && this.#framing === 'lines' ? bytesRead - 1 : bytesRead;
      // The next read uses the buffer again.
      pieces.push(Buffer.from(this.#buffer.subarray(0, length)));
      if (isEnd) return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      bytesRead = await readPiece();
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
