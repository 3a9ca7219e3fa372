import { lookAtWaits } from '../blocked-calls/holders.ts';
import { describeProcess } from '../blocked-calls/describe-process.ts';
import { formatWaits } from '../blocked-calls/wait-report.ts';
import type { MountPoint } from '../tables/mount-calls.ts';
import { announce, type Run, type RunFeature } from './run-feature.ts';

/** What timeout(1) ends with. */
const EXIT_TIMED_OUT = 124;
/** Who hangs is ended in time also when the mount does not say what on. */
const LOOK_TIMEOUT_MS = 2000;

/** `--timeout`: prints who is blocked on what, and ends the run. */
export class TimeLimit implements RunFeature {
  readonly #limitMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  begin(run: Run): void {
    this.#timer = setTimeout(() => void this.#expire(run), this.#limitMs);
  }

  async #expire(run: Run): Promise<void> {
    const graph = await blockedCalls(run.mount);
    announce(`the command has not ended after ${this.#limitMs / 1000} s; blocked calls:`, graph);
    run.stop(EXIT_TIMED_OUT);
  }

  judge(): Promise<null> {
    clearTimeout(this.#timer);
    return Promise.resolve(null);
  }
}

async function blockedCalls(mount: MountPoint): Promise<string> {
  const late = new Promise<string>((resolve) => {
    setTimeout(resolve, LOOK_TIMEOUT_MS, 'unknown: the mount does not answer\n');
  });
  const look = lookAtWaits(mount).then(
    (seen) => formatWaits(seen, describeProcess, Infinity),
    () => 'unknown: the mount does not answer\n',
  );
  return Promise.race([look, late]);
}
