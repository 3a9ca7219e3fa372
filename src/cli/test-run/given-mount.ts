import { findMount } from '../mount/mount-point.ts';
import type { RunMount } from './run-feature.ts';

/** A mount that was there before the run, and stays. */
export class GivenMount implements RunMount {
  readonly directory: string;
  readonly serverPid = null;
  readonly remark = '';
  readonly lastWords = '';
  /** Nobody waits for its server. */
  readonly ended = new Promise<never>(() => undefined);

  /** `directory` as the user names it: fails when it is no mount. */
  constructor(directory: string) {
    this.directory = findMount(directory);
  }

  end(): Promise<boolean> {
    return Promise.resolve(true);
  }
}
