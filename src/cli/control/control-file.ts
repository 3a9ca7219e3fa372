import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';

const READ_BYTES = 65_536;

/** What the mount says to a request. */
export interface ControlAnswer {
  readonly isOk: boolean;
  /** What follows `ok`; of a refusal the name of the error. */
  readonly word: string;
  /** Why it was refused, and what to do; empty when nothing was said. Of a request that went well the lines behind the first. */
  readonly text: string;
}

/** A conversation with `ctl` in the root of a mount. Its calls never wait; they fail as Node's do when the mount has ended. */
export class ControlFile {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** `directory`: where the mount is, as an absolute path. */
  static async open(directory: string): Promise<ControlFile> {
    return new ControlFile(await open(join(directory, 'ctl'), 'r+'));
  }

  /** Makes one request, a line without its end. */
  async ask(request: string): Promise<ControlAnswer> {
    // At no position: the file is a conversation.
    await this.#handle.write(`${request}\n`, null);
    const { bytesRead, buffer } = await this.#handle.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, null);
    return parseAnswer(buffer.toString('utf8', 0, bytesRead));
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** `ok 7`, or `error EINVAL why`. */
export function parseAnswer(answer: string): ControlAnswer {
  const end = answer.indexOf('\n');
  const [status, word = '', ...rest] = answer.slice(0, end).split(' ');
  const isOk = status === 'ok';
  return { isOk, word, text: isOk ? answer.slice(end + 1).trimEnd() : rest.join(' ') };
}
