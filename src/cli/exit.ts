import { report, UnansweredFailure } from './failures.ts';

let exit: (status: number) => never = (status) => process.exit(status);

/**
 * From now on the process ends in this way. Node's own waits for threads that are in a call: a module that makes calls which may never
 * come back brings another one, loaded before they are made, since loading takes such a thread as well.
 */
export function exitBy(exitFromCalls: (status: number) => never): void {
  exit = exitFromCalls;
}

/** Ends the process at once. */
export function exitNow(status: number): never {
  return exit(status);
}

/** Reports what a command failed with and sets the exit status; ends the process where Node could not. */
export function endWithFailure(error: unknown): void {
  const status = report(error);
  if (error instanceof UnansweredFailure) exitNow(status);
  process.exitCode = status;
}
