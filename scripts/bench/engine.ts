import { PassThrough } from 'node:stream';
import { LinuxHost } from '../../src/host/linux/linux-host.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import type { Operation } from '../../src/kern/operation.ts';
import { Thread } from '../../src/kern/scheduler.ts';
import { MemoryReadUio, WriteUio } from '../../src/kern/uio.ts';
import { type DescriptorTable, pipe2 } from '../../src/pipe/anonymous.ts';
import { queueFor } from '../../src/pipe/options/queue.ts';
import { PipeSubsystem } from '../../src/pipe/subsystem.ts';
import { compare, ratioAtLeast, type Row } from './rows.ts';

const BLOCK_BYTES = 64 * 1024;
const BLOCKS = 20_000;
const WARM_UP_RUNS = 3;
const TOTAL_BYTES = BLOCK_BYTES * BLOCKS;

const unlimited: DescriptorTable = { allocate: () => 0, release: () => undefined, store: () => 0 };

const rate = (startMs: number): number => TOTAL_BYTES / 1000 / (performance.now() - startMs);

/** Megabytes a second of a thread that reads 64 KiB and one that writes 64 KiB, on a pipe of the engine, without a mount. */
function engineRate(): number {
  const kernel = new Kernel(new LinuxHost());
  const pipes = new PipeSubsystem(kernel, queueFor);
  const files = pipe2(pipes, unlimited, 0, rootCredentials);
  if (typeof files === 'number') throw new Error(`pipe2: ${files}`);
  const [reader, writer] = files;
  const source = new Uint8Array(BLOCK_BYTES).fill(1);
  const target = new Uint8Array(BLOCK_BYTES);

  function* readAll(): Operation<number> {
    for (let left = TOTAL_BYTES; left > 0;) {
      left -= yield* reader.ops.read(reader, new MemoryReadUio([target]), rootCredentials);
    }
    return 0;
  }
  function* writeAll(): Operation<number> {
    for (let left = TOTAL_BYTES; left > 0;) {
      left -= yield* writer.ops.write(writer, new WriteUio([source]), rootCredentials);
    }
    return 0;
  }

  const startMs = performance.now();
  for (const operation of [readAll(), writeAll()]) {
    const thread = new Thread();
    thread.operation = operation;
    kernel.scheduler.enqueue(thread);
  }
  kernel.scheduler.run();
  return rate(startMs);
}

/** Megabytes a second of copying 64 KiB from one buffer to another. */
function copyRate(): number {
  const source = new Uint8Array(BLOCK_BYTES).fill(1);
  const target = new Uint8Array(BLOCK_BYTES);
  const startMs = performance.now();
  for (let count = 0; count < BLOCKS; count++) target.set(source);
  return rate(startMs);
}

/** Megabytes a second through a PassThrough of Node, which hands buffers on and copies nothing. */
async function passThroughRate(): Promise<number> {
  const stream = new PassThrough({ highWaterMark: BLOCK_BYTES });
  const source = Buffer.alloc(BLOCK_BYTES, 1);
  const startMs = performance.now();
  let sent = 0;
  const send = (): void => {
    while (sent < BLOCKS) {
      sent++;
      if (!stream.write(source)) {
        stream.once('drain', send);
        return;
      }
    }
    stream.end();
  };
  send();
  let left = TOTAL_BYTES;
  for await (const chunk of stream) left -= (chunk as Buffer).length;
  if (left !== 0) throw new Error(`PassThrough lost ${left} bytes`);
  return rate(startMs);
}

/** The pipe engine by itself, in this process. */
export async function* engineAlone(rounds: number): AsyncIterable<Row> {
  // Once compiled, it stays so: the first runs take a third longer.
  for (let count = 0; count < WARM_UP_RUNS; count++) engineRate();
  const what = 'the engine alone, write and read of 64 KiB';
  yield await compare(
    { what, unit: 'MB/s', peerName: 'memcpy, same process', goal: ratioAtLeast(0.5) },
    rounds,
    engineRate,
    copyRate,
  );
  yield await compare(
    { what, unit: 'MB/s', peerName: 'PassThrough, which does not copy' },
    rounds,
    engineRate,
    passThroughRate,
  );
}
