import { File } from '../../src/kern/file.ts';
import type { Operation } from '../../src/kern/operation.ts';
import { WriteUio } from '../../src/kern/uio.ts';
import { anonymousPipeOps } from '../../src/pipe/anonymous.ts';
import type { Fifo } from '../../src/pipe/fifo.ts';
import { openFlags, user } from './engine.ts';

/**
 * Opens a FIFO, writes `data` if there is some, and closes it, before anybody else runs: what an open that waits for it
 * finds when it goes on. The result of the first step that failed, or 0.
 */
export function* visit(fifo: Fifo, mode: string, data: Uint8Array | null = null): Operation<number> {
  const file = new File(openFlags(mode), anonymousPipeOps, user);
  const opened = yield* fifo.open(file);
  if (opened !== 0) return opened;
  if (data !== null) {
    const written = yield* file.ops.write(file, new WriteUio([data]), user);
    if (written !== data.length) return written;
  }
  return yield* file.ops.close(file);
}
