import { constants, openSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

/** What a thread plays. */
export interface Part {
  readonly path: Uint8Array;
  /** When each chunk is due, in milliseconds after the first of all pipes; 0 for those that are not waited for. */
  readonly dueMs: Float64Array;
  readonly lengths: Uint32Array;
  /** All chunks, one behind the other. */
  readonly bytes: Uint8Array;
  /** Set to 1 when all pipes are open: then the clock starts. */
  readonly gate: Int32Array;
}

/** What it says: the pipe is open, everything is written, or the errno that something failed with. */
export type PartMessage =
  { readonly kind: 'open' | 'end' } | { readonly kind: 'failed'; readonly code: string };

const { path, dueMs, lengths, bytes, gate } = workerData as Part;

function tell(message: PartMessage): void {
  parentPort!.postMessage(message);
}

/** Nothing changes it. */
const still = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** Calls that wait for readers hold up this thread alone, and no other pipe. */
function play(): void {
  const pipe = openSync(Buffer.from(path), constants.O_WRONLY | constants.O_CREAT, 0o666);
  tell({ kind: 'open' });
  Atomics.wait(gate, 0, 0);
  const startMs = performance.now();
  let at = 0;
  for (const [index, length] of lengths.entries()) {
    const waitMs = startMs + dueMs[index]! - performance.now();
    if (waitMs > 0) Atomics.wait(still, 0, 0, waitMs);
    for (let written = 0; written < length;) {
      written += writeSync(pipe, bytes, at + written, length - written);
    }
    at += length;
  }
}

try {
  play();
  // The end of the process closes the pipe, after the answer of the last write.
  tell({ kind: 'end' });
} catch (error) {
  tell({ kind: 'failed', code: (error as NodeJS.ErrnoException).code ?? String(error) });
}
