import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { answered, explain, type MountPoint } from '../tables/mount-calls.ts';

const FILE = 'info/trace.json';
const READ_BYTES = 131_072;

/** An open of info/trace.json. */
export class TraceSubscription {
  readonly #mount: MountPoint;
  readonly #file: FileHandle;
  readonly #buffer = Buffer.alloc(READ_BYTES);
  #rest: string[] = [];

  private constructor(mount: MountPoint, file: FileHandle) {
    this.#mount = mount;
    this.#file = file;
  }

  /** From here on, everything that happens is a line. `content`: bytes of each call to get, true for all. */
  static async open(mount: MountPoint, content: number | true | undefined): Promise<TraceSubscription> {
    try {
      return await answered(mount, async () => {
        const file = await open(join(mount.path, FILE), constants.O_RDWR);
        if (content !== undefined) await file.write(content === true ? 'content\n' : `content ${content}\n`);
        return new TraceSubscription(mount, file);
      });
    } catch (error) {
      throw explain(error, mount, FILE);
    }
  }

  /** The next lines, without their newlines, one character a byte; waits for some. Null at the end. */
  async lines(): Promise<string[] | null> {
    for (;;) {
      let bytesRead: number;
      try {
        ({ bytesRead } = await this.#file.read(this.#buffer, 0, READ_BYTES, null));
      } catch (error) {
        throw explain(error, this.#mount, FILE);
      }
      if (bytesRead === 0) return null;
      const lines = this.#buffer.toString('latin1', 0, bytesRead).split('\n');
      this.#rest.push(lines[0]!);
      if (lines.length === 1) continue;
      lines[0] = this.#rest.join('');
      this.#rest = [lines.pop()!];
      return lines;
    }
  }

  /** What has happened until now is what there is to read. Fails with an UnansweredFailure; the reader hears of a mount that has ended. */
  async end(): Promise<void> {
    await answered(this.#mount, async () => {
      const ending = this.#file.write('end\n').catch(() => undefined);
      // Where a read that waits excludes the write (fuse-native with libfuse 2), a call of ours ends the read.
      await stat(join(this.#mount.path, 'info')).catch(() => undefined);
      await ending;
    });
  }
}
