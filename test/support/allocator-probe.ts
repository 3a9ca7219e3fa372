/**
 * Prints how many bytes some large blocks add to the memory that goes back to the system as soon as it is freed, after others of their size
 * were freed before. To be run with --expose-gc.
 *
 *   allocator-probe.js [settled]       with `settled`, after `returnFreedMemory`
 */
import koffi from 'koffi';
import { returnFreedMemory } from '../../src/host/linux/memory/allocator.ts';

const BLOCK_BYTES = 1024 * 1024;
const BLOCKS = 16;
/** struct mallinfo2 has ten numbers of 64 bits; this is hblkhd. */
const MAPPED_BYTES_FIELD = 4;

const information = koffi.struct({ fields: koffi.array('size_t', 10) });
const mallinfo2 = koffi.load(null).func('mallinfo2', information, []) as () => { fields: number[] };

function mappedBytes(): number {
  return Number(mallinfo2().fields[MAPPED_BYTES_FIELD]);
}

function freeOne(): void {
  new Uint8Array(BLOCK_BYTES).fill(1);
}

if (process.argv[2] === 'settled') returnFreedMemory();
for (let turn = 0; turn < 3; turn++) {
  freeOne();
  global.gc!();
}
const before = mappedBytes();
const blocks = Array.from({ length: BLOCKS }, () => new Uint8Array(BLOCK_BYTES));
process.stdout.write(`${mappedBytes() - before} ${blocks.length}\n`);
