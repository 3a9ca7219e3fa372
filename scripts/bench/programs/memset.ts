/**
 * Maps a file, fills it several times, and prints how many milliseconds the first time took, which gets the pages, and the best
 * of the others. A program of its own, because nobody who serves or drives a mount may fault in it.
 *
 *   memset.js FILE BYTES
 */
import { openSync } from 'node:fs';
import koffi from 'koffi';

type Call = (...args: number[]) => number;
const libc = koffi.load(null);
const mmap: Call = libc.func('intptr_t mmap(intptr_t, size_t, int, int, int, long)');
const memset: Call = libc.func('intptr_t memset(intptr_t, int, size_t)');

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
/** Passes are short: the best of some is least disturbed by the machine's other work. */
const PASSES = 5;

const [path, bytes] = process.argv.slice(2);
const sizeBytes = Number(bytes);
const address = mmap(0, sizeBytes, PROT_READ_WRITE, MAP_SHARED, openSync(path!, 'r+'), 0);
if (address === -1) throw new Error(`${path!} cannot be mapped (errno ${koffi.errno()})`);

function fill(value: number): number {
  const startMs = performance.now();
  memset(address, value, sizeBytes);
  return performance.now() - startMs;
}

const firstMs = fill(1);
let bestMs = Infinity;
for (let pass = 0; pass < PASSES; pass++) bestMs = Math.min(bestMs, fill(2 + pass));
process.stdout.write(`${firstMs} ${bestMs}\n`);
