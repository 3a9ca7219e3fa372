import { LinuxHost } from '../../src/host/linux/linux-host.ts';
import { assert } from '../../src/kern/assert.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import type { Operation } from '../../src/kern/operation.ts';
import { IPC_CREAT } from '../../src/shm/flags.ts';
import { shmget } from '../../src/shm/shmget.ts';
import { HeapStorageMemory } from '../../src/shm/storage.ts';
import { ShmSubsystem } from '../../src/shm/subsystem.ts';
import { compare, type Row } from './rows.ts';

const FEW = 10;
const MANY = 60_000;
const SLOTS = 65_535;
const LOOKUPS = 200_000;
const SEGMENT_BYTES = 1;
const MODE = 0o600;
/** Prime to both numbers of segments: a walk with this stride comes by every key. */
const STRIDE = 7919;

/** Runs an operation that does not sleep. */
function now(operation: Operation<number>): number {
  const step = operation.next();
  assert(step.done === true && step.value >= 0, 'the call succeeds at once');
  return step.value;
}

/** A table with segments of the keys 1 to `count`. */
function segments(count: number): ShmSubsystem {
  const kernel = new Kernel(new LinuxHost());
  const shm = new ShmSubsystem(kernel, new HeapStorageMemory());
  for (const [name, value] of [
    ['kern.ipc.shmmaxpgs', SLOTS],
    ['kern.ipc.shmmni', SLOTS],
  ] as const) {
    now(kernel.sysctls.change(name, value, rootCredentials));
  }
  for (let key = 1; key <= count; key++) {
    now(shmget(shm, rootCredentials, { key, sizeBytes: SEGMENT_BYTES, flags: IPC_CREAT | MODE }));
  }
  return shm;
}

/** Nanoseconds of a shmget of an existing key. */
function lookupCost(shm: ShmSubsystem, count: number): number {
  const startMs = performance.now();
  for (let index = 0; index < LOOKUPS; index++) {
    now(shmget(shm, rootCredentials, { key: 1 + ((index * STRIDE) % count), sizeBytes: 0, flags: 0 }));
  }
  return ((performance.now() - startMs) * 1e6) / LOOKUPS;
}

/**
 * shmget by key among many segments against among few: the engine does not walk its table. In this process, without a mount,
 * where each segment would need a descriptor, and carrying the request would cost far more than the look-up.
 */
export async function* keyLookups(rounds: number): AsyncIterable<Row> {
  const many = segments(MANY);
  const few = segments(FEW);
  lookupCost(few, FEW);
  lookupCost(many, MANY);
  yield await compare(
    {
      what: `the engine alone, shmget of a key among ${MANY.toLocaleString('en')} segments`,
      unit: 'ns',
      peerName: `among ${FEW}`,
    },
    rounds,
    () => lookupCost(many, MANY),
    () => lookupCost(few, FEW),
  );
}
