import { errnoName } from '../../src/kern/errno.ts';
import type { Driver } from './driver-client.ts';
import {
  type ChangeRecord,
  decodeRecords,
  encodeRecords,
  type KeventRecord,
  RECORD_BYTES,
} from './kevent-records.ts';
import { until } from './process.ts';

const EAGAIN = -11;
const READ_BYTES = 8192;

/** A queue of the text form that a driver has open without blocking. */
export class TextQueue {
  readonly driver: Driver;
  readonly fd: number;

  private constructor(driver: Driver, fd: number) {
    this.driver = driver;
    this.fd = fd;
  }

  static async open(driver: Driver, path = 'kqueue'): Promise<TextQueue> {
    return new TextQueue(driver, await driver.open(path, 'rwn'));
  }

  /** Writes lines in one write; 0, or the name of the errno. */
  async change(...lines: string[]): Promise<0 | string> {
    const text = lines.map((line) => `${line}\n`).join('');
    const { result } = await this.driver.write(this.fd, text);
    if (result < 0) return errnoName(result);
    if (result !== text.length) throw new Error(`${result} of ${text.length} bytes were written`);
    return 0;
  }

  /** What one read gives at once: lines without their ends, none when nothing is pending. */
  async take(count = READ_BYTES): Promise<string[]> {
    const { result, text } = await this.driver.read(this.fd, count);
    if (result === EAGAIN) return [];
    if (result < 0) throw new Error(`read failed with ${errnoName(result)}`);
    if (!text!.endsWith('\n')) throw new Error(`"${text!}" is not whole lines`);
    return text!.slice(0, -1).split('\n');
  }

  /** Changes, and what a read gives afterwards. */
  async after(...lines: string[]): Promise<string[]> {
    const error = await this.change(...lines);
    if (error !== 0) throw new Error(`${lines.join('; ')}: ${error}`);
    return this.take();
  }

  /** The next events, for which it waits. */
  next(): Promise<string[]> {
    return until(
      async () => {
        const lines = await this.take();
        return lines.length > 0 ? lines : null;
      },
      () => 'an event',
    );
  }

  close(): Promise<unknown> {
    return this.driver.close(this.fd);
  }
}

/** A queue of the binary form that a driver has open without blocking. */
export class BinaryQueue {
  readonly driver: Driver;
  readonly fd: number;

  private constructor(driver: Driver, fd: number) {
    this.driver = driver;
    this.fd = fd;
  }

  static async open(driver: Driver, mode = 'rwn'): Promise<BinaryQueue> {
    return new BinaryQueue(driver, await driver.open('kqueue.bin', mode));
  }

  /** Writes records in one write; how many were taken, or a negative errno. */
  async change(...changes: ChangeRecord[]): Promise<number> {
    const { result } = await this.driver.call({ call: 'writeHex', fd: this.fd, hex: encodeRecords(changes) });
    return result < 0 ? result : result / RECORD_BYTES;
  }

  /** What one read with room for `count` records gives at once. */
  async take(count = 16): Promise<KeventRecord[]> {
    const { result, text } = await this.driver.call({
      call: 'readHex',
      fd: this.fd,
      count: count * RECORD_BYTES,
    });
    if (result === EAGAIN) return [];
    if (result < 0) throw new Error(`read failed with ${errnoName(result)}`);
    return decodeRecords(text!);
  }

  async after(...changes: ChangeRecord[]): Promise<KeventRecord[]> {
    const taken = await this.change(...changes);
    if (taken !== changes.length) throw new Error(`${taken} of ${changes.length} records were taken`);
    return this.take();
  }

  /** The idents of what one read gives. */
  async idents(count?: number): Promise<number[]> {
    return (await this.take(count)).map(({ ident }) => Number(ident));
  }
}
