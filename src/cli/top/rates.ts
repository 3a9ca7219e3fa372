import type { PipeRow } from '../tables/objects.ts';
import type { Rate } from './state.ts';

/** Makes rates of the totals of info/pipes, from one look to the next. */
export class RateMeter {
  #before: ReadonlyMap<number, PipeRow> = new Map();
  #beforeMs = 0;

  /** Rates by inode number at `nowMs`; those of a pipe that is seen for the first time are not known, and 0. */
  update(pipes: readonly PipeRow[], nowMs: number): Map<number, Rate> {
    const seconds = (nowMs - this.#beforeMs) / 1000;
    const rates = new Map<number, Rate>();
    for (const pipe of pipes) {
      const before = this.#before.get(pipe.ino);
      if (before === undefined || seconds <= 0) continue;
      const inBytes = (pipe['bytes-in'] - before['bytes-in']) / seconds;
      const outBytes = (pipe['bytes-out'] - before['bytes-out']) / seconds;
      if (inBytes > 0 || outBytes > 0) rates.set(pipe.ino, { inBytes, outBytes });
    }
    this.#before = new Map(pipes.map((pipe) => [pipe.ino, pipe]));
    this.#beforeMs = nowMs;
    return rates;
  }
}
