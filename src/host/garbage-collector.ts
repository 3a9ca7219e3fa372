import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let run: (() => void) | null = null;

/**
 * Has V8 give back all that nobody uses any more. V8 knows nothing of the limits of the process, and lets memory of buffers lie for
 * long that nobody uses.
 */
export function collectGarbage(): void {
  if (run === null) {
    setFlagsFromString('--expose-gc');
    run = runInNewContext('gc') as () => void;
  }
  run();
}
