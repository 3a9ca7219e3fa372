import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandFailure } from '../failures.ts';
import { answered, type MountPoint } from '../tables/mount-calls.ts';
import type { RecordSink, RecordSource, TakenRecord } from './records.ts';

const READ_BYTES = 65_536;
/** `data=` and `fflags=` of an event, as a message has them. */
const EVENT = /^data=(-?[0-9]+) fflags=(0x[0-9a-f]+|[0-9]+)$/;

async function openKqueue(mount: MountPoint, name: string): Promise<FileHandle> {
  const path = join(mount.path, name);
  return answered(mount, async () => {
    await stat(path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new CommandFailure(`${mount.directory}/${name} does not exist: make it with 'touch'`);
    });
    return open(path, constants.O_RDWR);
  });
}

/**
 * A user event becomes a record each time that it happens: `data=N fflags=0x..`. The bridge collects the events of the kqueue, and drops
 * those that are not for it. An event that was collected is gone, also if the bridge is killed.
 */
export class EventSource implements RecordSource {
  readonly hasUnfinished = false;
  readonly #kqueue: FileHandle;
  readonly #ident: number;
  readonly #records: Buffer[] = [];
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  #rest = '';

  private constructor(kqueue: FileHandle, ident: number) {
    this.#kqueue = kqueue;
    this.#ident = ident;
  }

  static async open(mount: MountPoint, name: string, ident: number): Promise<EventSource> {
    const kqueue = await openKqueue(mount, name);
    await kqueue.write(`add user ${ident} clear\n`);
    return new EventSource(kqueue, ident);
  }

  async take(): Promise<TakenRecord> {
    for (;;) {
      const bytes = this.#records.shift();
      if (bytes !== undefined) return { bytes, finish: () => undefined };
      const { bytesRead } = await this.#kqueue.read(this.#buffer, 0, READ_BYTES, null);
      const lines = (this.#rest + this.#buffer.toString('latin1', 0, bytesRead)).split('\n');
      this.#rest = lines.pop()!;
      for (const line of lines) this.#collect(line);
    }
  }

  async close(): Promise<void> {
    await this.#kqueue.close();
  }

  #collect(line: string): void {
    const [, ident, data, flags, fflags] =
      /^user ([0-9]+) (data=\S+) flags=(\S+) (fflags=\S+)/.exec(line) ?? [];
    if (ident !== String(this.#ident)) return;
    if (!flags!.split(',').includes('clear')) {
      throw new CommandFailure(`user ${ident} was added without clear and never stops: delete it first`);
    }
    this.#records.push(Buffer.from(`${data!} ${fflags!}`));
  }
}

/** Each record triggers a user event, with its data and flags if it has the form of an event. */
export class EventSink implements RecordSink {
  readonly #kqueue: FileHandle;
  readonly #ident: number;
  #putCount = 0;

  private constructor(kqueue: FileHandle, ident: number) {
    this.#kqueue = kqueue;
    this.#ident = ident;
  }

  static async open(mount: MountPoint, name: string, ident: number): Promise<EventSink> {
    return new EventSink(await openKqueue(mount, name), ident);
  }

  async put(records: readonly Uint8Array[]): Promise<void> {
    for (const record of records) {
      await this.#trigger(record);
      this.#putCount++;
    }
  }

  /** An event has no reader to wait for. */
  readCount(): Promise<number> {
    return Promise.resolve(this.#putCount);
  }

  async #trigger(record: Uint8Array): Promise<void> {
    const [, data, fflags] = EVENT.exec(Buffer.from(record).toString('latin1')) ?? [];
    const values = data === undefined ? '' : `data=${data} ffcopy=${fflags!} `;
    const trigger = `modify user ${this.#ident} ${values}trigger receipt\n`;
    if (await this.#change(trigger)) return;
    if ((await this.#change(`add user ${this.#ident} clear receipt\n`)) && (await this.#change(trigger)))
      return;
    throw new CommandFailure(`user ${this.#ident} cannot be triggered: see 'ipcfs help kqueue'`);
  }

  /** Makes a change; whether it succeeded. Reads not more than the receipt: events are for others. */
  async #change(line: string): Promise<boolean> {
    await this.#kqueue.write(line);
    const success = `error user ${this.#ident} errno=0 udata=-\n`;
    let answer = '';
    for (let missing = success.length; missing > 0; missing = answer.endsWith('\n') ? 0 : 1) {
      const { buffer, bytesRead } = await this.#kqueue.read(Buffer.alloc(missing), 0, missing, null);
      answer += buffer.toString('latin1', 0, bytesRead);
    }
    return answer === success;
  }
}
