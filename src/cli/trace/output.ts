import { fstat, ftruncate, open, write } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CommandFailure } from '../failures.ts';

const openFile = promisify(open);
const writeTo = promisify(write);
const truncate = promisify(ftruncate);
const status = promisify(fstat);

export const STANDARD_OUTPUT = 1;
export const STANDARD_ERROR = 2;
const RETRY_MS = 5;

/**
 * Where lines go. A write ends when its bytes are gone: who reads slowly is waited for, and the mount counts what is lost meanwhile.
 *
 * Of a form that has a footer, a file is whole after each write: the footer is written behind the text, and the next text over it. So
 * a file that is full, and a command that is killed, leave what came before. A pipe or a terminal gets the footer once, from `end`.
 */
export class TraceOutput {
  readonly #descriptor: number;
  readonly #name: string;
  /** Whether written bytes can be replaced. */
  readonly #isFile: boolean;
  /** Bytes of a file before the footer. */
  #lengthBytes = 0;
  #footer = '';

  private constructor(descriptor: number, name: string, isFile: boolean) {
    this.#descriptor = descriptor;
    this.#name = name;
    this.#isFile = isFile;
  }

  /** `file`: a path, or one of the standard descriptors. */
  static async open(file: string | number): Promise<TraceOutput> {
    if (typeof file === 'number') {
      return new TraceOutput(file, file === STANDARD_OUTPUT ? 'standard output' : 'standard error', false);
    }
    try {
      const descriptor = await openFile(file, 'w');
      return new TraceOutput(descriptor, file, (await status(descriptor)).isFile());
    } catch (error) {
      throw writeFailure(file, error);
    }
  }

  /** One character a byte. `footer` makes whole what has been written; empty when nothing has to follow. */
  async write(text: string, footer = ''): Promise<void> {
    if (!this.#isFile) {
      this.#footer = footer;
      await this.#writeAll(Buffer.from(text, 'latin1'), null);
      return;
    }
    const bytes = Buffer.from(text + footer, 'latin1');
    try {
      await this.#writeAll(bytes, this.#lengthBytes);
    } catch (error) {
      await this.#takeBack();
      throw error;
    }
    this.#lengthBytes += bytes.length - footer.length;
    this.#footer = footer;
  }

  /** Nothing follows. */
  async end(): Promise<void> {
    if (!this.#isFile && this.#footer !== '') await this.#writeAll(Buffer.from(this.#footer, 'latin1'), null);
  }

  async #writeAll(bytes: Uint8Array, position: number | null): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      try {
        const { bytesWritten } = await writeTo(
          this.#descriptor,
          bytes,
          at,
          bytes.length - at,
          position === null ? null : position + at,
        );
        at += bytesWritten;
      } catch (error) {
        // Somebody who shares the terminal or the pipe does not want to wait for it.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw writeFailure(this.#name, error);
        await delay(RETRY_MS);
      }
    }
  }

  /** Makes the file what it was before a write that failed. Its footer had its place there, so a file system that is full has it still. */
  async #takeBack(): Promise<void> {
    const footer = Buffer.from(this.#footer, 'latin1');
    try {
      await this.#writeAll(footer, this.#lengthBytes);
      await truncate(this.#descriptor, this.#lengthBytes + footer.length);
    } catch {
      // The first failure is the one to tell.
    }
  }
}

function writeFailure(name: string, error: unknown): CommandFailure {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  const why: Record<string, string> = {
    ENOSPC: 'no space is left: write it elsewhere',
    EDQUOT: 'your quota is used up: write it elsewhere',
    EFBIG: 'the file may not be longer: raise ulimit -f',
    EPIPE: 'nobody reads it any more',
    ENOENT: 'there is no such directory',
    EACCES: 'you may not write there',
  };
  return new CommandFailure(
    `the trace cannot be written to ${name} (${code}): ${why[code] ?? 'write it elsewhere'}`,
  );
}
