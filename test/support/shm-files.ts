import { readFileSync } from 'node:fs';
import { errnoName } from '../../src/kern/errno.ts';
import type { Driver } from './driver-client.ts';
import { O_CREAT, O_RDWR } from './driver-protocol.ts';
import type { Row, TestMount } from './mount.ts';
import { type RunOptions, until } from './process.ts';

export const PAGE = 4096;
export const MIB = 1024 * 1024;
/** Neither root nor in root's group. */
export const nobody = { uid: 65534, gid: 65534 } as const;

const ANSWER_BYTES = 65536;

/** One open control file: requests, and the answers to them. */
export class ControlFile {
  readonly driver: Driver;
  readonly #fd: number;

  private constructor(driver: Driver, fd: number) {
    this.driver = driver;
    this.#fd = fd;
  }

  /** `options`: as whom. */
  static async open(mount: TestMount, options: RunOptions = {}, path = 'shm/ctl'): Promise<ControlFile> {
    const driver = await mount.driver(options);
    return new ControlFile(driver, await driver.open(path, 'rw'));
  }

  /** The answer to one request. */
  async ask(request: string): Promise<string> {
    const answers = await this.askAll(`${request}\n`);
    return answers.trimEnd();
  }

  /** Writes `text`, and reads what there is to read. */
  async askAll(text: string): Promise<string> {
    const { result } = await this.driver.write(this.#fd, text);
    if (result !== text.length) return errnoOf(result);
    return (await this.driver.read(this.#fd, ANSWER_BYTES)).text!;
  }

  /** A request that must be answered with a number, `get`. */
  async id(request: string): Promise<number> {
    const answer = await this.ask(request);
    if (!/^ok \d+$/.test(answer)) throw new Error(`${request}: ${answer}`);
    return Number(answer.slice(3));
  }

  /** The fields of `stat`. */
  async stat(id: number): Promise<Record<string, string>> {
    const answer = await this.ask(`stat ${id}`);
    if (!answer.startsWith('ok ')) throw new Error(`stat ${id}: ${answer}`);
    const words = answer.slice(3).split(' ');
    return Object.fromEntries(words.map((word) => word.split('=', 2) as [string, string]));
  }

  async close(): Promise<void> {
    await this.driver.close(this.#fd);
  }
}

/** `ok`, or the name of the error that a call returned. */
export function errnoOf(result: number): string {
  return result < 0 ? errnoName(result) : 'ok';
}

/** open(2) by a driver: `ok` (and closed again), or the name of the error. */
export async function tryOpen(driver: Driver, path: string, flags: number, mode = 0o600): Promise<string> {
  const { result } = await driver.call({ call: 'open', path, flags, mode });
  if (result >= 0) await driver.close(result);
  return errnoOf(result);
}

/** Makes a segment with a driver: a descriptor that reads and writes. */
export async function makeSegment(driver: Driver, path: string, size: number, mode = 0o600): Promise<number> {
  const { result: fd } = await driver.call({ call: 'open', path, flags: O_CREAT | O_RDWR, mode });
  if (fd < 0) throw new Error(`open(${path}): ${errnoOf(fd)}`);
  const { result } = await driver.call({ call: 'ftruncate', fd, size });
  if (result < 0) throw new Error(`ftruncate(${path}): ${errnoOf(result)}`);
  return fd;
}

/** The row of info/shm for a segment, null when there is none. */
export async function segmentRow(mount: TestMount, id: number): Promise<Row | null> {
  return (await mount.table('shm')).find((row) => row['id'] === id) ?? null;
}

/** Waits for info/shm to have no row: every segment has been given back. */
export async function untilNoSegments(mount: TestMount): Promise<void> {
  await until(
    async () => (await mount.table('shm')).length === 0,
    async () => `an empty info/shm, which is ${JSON.stringify(await mount.table('shm'))}`,
  );
}

/** Removes every segment that nobody uses, so that a test can count from nothing. */
export async function removeAll(mount: TestMount): Promise<void> {
  await mount.output('cd shm/id && for id in *; do [ "$id" = "*" ] || rm "$id"; done');
  await untilNoSegments(mount);
}

/** A field of /proc/meminfo or /proc/PID/status that is in kB, in bytes. */
export function procBytes(file: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(file, 'latin1'));
  if (match === null) throw new Error(`${file} has no ${field}`);
  return Number(match[1]) * 1024;
}
