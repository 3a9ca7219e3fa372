import { type FileHandle, open } from 'node:fs/promises';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { globExpression } from '../cli/trace/glob.ts';
import type { TraceFields } from '../cli/trace/trace-lines.ts';

const READ_BYTES = 65_536;
const NEWLINE = 0x0a;

/** Which events of a trace are wanted. Absent members do not select. */
export interface TraceSelection {
  /** A pattern of the shell for paths from the mount's root, `**` for any depth. */
  readonly object?: string;
  /** A process or a thread. */
  readonly pid?: number;
  /** Names of calls, as in the trace: `read`, `write`, `open`, `event`, `fault`. */
  readonly call?: string | readonly string[];
  /** `end` for calls that have ended, `wait` for those that began to wait, `event` for those of kqueues. */
  readonly type?: TraceFields['type'];
}

/** Every call and event of one mount from its begin on. */
export class TestTrace {
  readonly #handle: FileHandle;
  readonly #events: TraceFields[] = [];
  #pending = Buffer.alloc(0);
  #reading: Promise<void> = Promise.resolve();

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Begins to record, with the first `contentBytes` bytes of each read and write. */
  static async open(directory: string, contentBytes: number): Promise<TestTrace> {
    const flags = constants.O_RDWR | constants.O_NONBLOCK;
    const handle = await open(join(directory, 'info/trace.json'), flags);
    if (contentBytes > 0) await handle.write(`content ${contentBytes}\n`, null);
    return new TestTrace(handle);
  }

  /**
   * What has happened until now, in order. The mount keeps what was not asked for yet, up to `ipcfs.trace_bytes`; of more, an event
   * `lost` says how many `lines` are missing, whatever is selected.
   */
  async events(selection: TraceSelection = {}): Promise<TraceFields[]> {
    this.#reading = this.#reading.then(() => this.#readAll());
    await this.#reading;
    const isWanted = predicateOf(selection);
    return this.#events.filter((event) => event.type === 'lost' || isWanted(event));
  }

  /** Forgets what has happened until now. */
  async clear(): Promise<void> {
    await this.events();
    this.#events.length = 0;
  }

  /** @internal */
  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #readAll(): Promise<void> {
    for (;;) {
      let part: Buffer;
      try {
        const { bytesRead, buffer } = await this.#handle.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, null);
        part = buffer.subarray(0, bytesRead);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return;
        throw error;
      }
      if (part.length === 0) return;
      this.#take(part);
    }
  }

  #take(part: Buffer): void {
    const bytes = Buffer.concat([this.#pending, part]);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    this.#pending = bytes.subarray(end);
    for (const line of bytes.toString('utf8', 0, end).split('\n')) {
      if (line !== '') this.#events.push(JSON.parse(line) as TraceFields);
    }
  }
}

function predicateOf({ object, pid, call, type }: TraceSelection): (event: TraceFields) => boolean {
  const pattern = object === undefined ? null : globExpression(object);
  const calls = typeof call === 'string' ? [call] : call;
  return (event) =>
    (pattern === null ||
      pattern.test(event.object ?? '') ||
      (event.to !== undefined && pattern.test(event.to))) &&
    (pid === undefined || event.pid === pid || event.process === pid) &&
    calls?.includes(event.call ?? '') !== false &&
    (type === undefined || event.type === type);
}
