import koffi from 'koffi';
import type { DriverResult, MemoryCall } from './driver-protocol.ts';

type Call = (...args: number[]) => number;
const libc = koffi.load(null);
const define = (prototype: string): Call => libc.func(prototype);

const mmap = define('intptr_t mmap(intptr_t, size_t, int, int, int, long)');
const munmap = define('int munmap(intptr_t, size_t)');
const mprotect = define('int mprotect(intptr_t, size_t, int)');
const clone = define('int clone(intptr_t, intptr_t, int, intptr_t)');
const memset = define('intptr_t memset(intptr_t, int, size_t)');

const MAP_SHARED = 1;
const PAGE_BYTES = 4096;

interface Mapping {
  readonly address: number;
  /** Whole pages. */
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

type Outcome = Omit<DriverResult, 'elapsedMs'>;

function outcome(result: number): Outcome {
  return { result: result < 0 ? -koffi.errno() : result };
}

/** The driver's mappings. Between calls on them, loads and stores go to memory and nowhere else. */
export class DriverMemory {
  readonly #mappings: (Mapping | null)[] = [];

  perform(request: MemoryCall): Outcome {
    if (request.call === 'mmap') return this.#map(request.fd, request.length, request.protection);
    if (request.call === 'fork') return forkSleeper();
    const mapping = this.#mappings[request.mapping];
    if (mapping === undefined || mapping === null) throw new Error(`no mapping ${request.mapping}`);
    const { address, bytes, words } = mapping;
    switch (request.call) {
      case 'munmap':
        this.#mappings[request.mapping] = null;
        return outcome(munmap(address, bytes.length));
      case 'munmapEnd':
        return outcome(munmap(address + bytes.length - request.count, request.count));
      case 'mprotect':
        return outcome(mprotect(address, bytes.length, request.protection));
      case 'peek': {
        const seen = bytes.slice(request.offset, request.offset + request.count);
        return { result: seen.length, text: Buffer.from(seen).toString('latin1') };
      }
      case 'poke':
        bytes.set(Buffer.from(request.text, 'latin1'), request.offset);
        return { result: request.text.length };
      case 'fill':
        memset(address, request.byte, bytes.length);
        return { result: 0 };
      case 'countOther': {
        let other = 0;
        for (const byte of bytes) if (byte !== request.byte) other++;
        return { result: other };
      }
      case 'awaitWord':
        return { result: awaitWord(words, request.offset / 4, request.word, request.timeoutMs) ? 1 : 0 };
      case 'pingPong':
        return { result: pingPong(words, request.isFirst, request.turns, request.timeoutMs) };
    }
  }

  #map(fd: number, length: number, protection: number): Outcome {
    const lengthBytes = Math.ceil(length / PAGE_BYTES) * PAGE_BYTES;
    const mapped = outcome(mmap(0, lengthBytes, protection, MAP_SHARED, fd, 0));
    if (mapped.result < 0) return mapped;
    const buffer = koffi.view(BigInt(mapped.result), lengthBytes);
    const mapping = { address: mapped.result, bytes: new Uint8Array(buffer), words: new Int32Array(buffer) };
    return { result: this.#mappings.push(mapping) - 1 };
  }
}

const SIGCHLD = 17;
const STACK_BYTES = 64 * 1024;

/** A copy of the process that runs pause(2) and no JavaScript: the threads that V8 needs are not copied. */
function forkSleeper(): Outcome {
  const stackEnd = koffi.address(new Uint8Array(STACK_BYTES)) + BigInt(STACK_BYTES);
  const pause = koffi.address(libc.symbol('pause'));
  return outcome(clone(Number(pause), Number(stackEnd & ~0xfn), SIGCHLD, 0));
}

/** Whether the word was seen in time. Atomics keep the load inside the loop; the clock is read without a system call. */
function awaitWord(words: Int32Array, index: number, wanted: number, timeoutMs: number): boolean {
  const deadlineMs = performance.now() + timeoutMs;
  while (Atomics.load(words, index) !== wanted) {
    if (performance.now() > deadlineMs) return false;
  }
  return true;
}

function pingPong(words: Int32Array, isFirst: boolean, turns: number, timeoutMs: number): number {
  const deadlineMs = performance.now() + timeoutMs;
  for (let turn = 0; turn < turns; turn++) {
    const own = 2 * turn + (isFirst ? 0 : 1);
    if (!awaitWord(words, 0, own, deadlineMs - performance.now())) return turn;
    Atomics.store(words, 0, own + 1);
  }
  return turns;
}
