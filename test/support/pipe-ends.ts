import type { Driver } from './driver-client.ts';
import type { DriverResult } from './driver-protocol.ts';
import { until } from './process.ts';

/** A named pipe that is open at both sides. */
export interface Ends {
  readonly reader: number;
  readonly writer: number;
}

/** Opens a pipe for reading in one driver and for writing in another; both descriptors block. */
export async function openEnds(reads: Driver, writes: Driver, path: string): Promise<Ends> {
  const reader = await reads.open(path, 'rn');
  const writer = await writes.open(path, 'w');
  await reads.setNonBlocking(reader, false);
  return { reader, writer };
}

/** The same without blocking: a single driver can hold both. */
export async function openEndsNonBlocking(reads: Driver, writes: Driver, path: string): Promise<Ends> {
  const reader = await reads.open(path, 'rn');
  const writer = await writes.open(path, 'wn');
  return { reader, writer };
}

/** Reads `count` bytes of a pattern and says what the call returned and how many bytes were wrong. */
export async function readPattern(
  driver: Driver,
  fd: number,
  count: number,
  offset = 0,
): Promise<readonly [result: number, wrong: number]> {
  const { result, value } = await driver.call({ call: 'readPattern', fd, count, offset });
  return [result, value!];
}

/** fstat(2). */
export async function statOf(driver: Driver, fd: number): Promise<NonNullable<DriverResult['stat']>> {
  return (await driver.call({ call: 'fstat', fd })).stat!;
}

/** Waits for the clock to have moved on, so that a later stamp differs from an earlier one. */
export async function nextTick(): Promise<void> {
  const startMs = Date.now();
  await until(() => Date.now() > startMs + 2);
}
