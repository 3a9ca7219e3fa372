import { LibraryFailure } from '../host/library-failure.ts';
import { printableLine } from './printable.ts';
import { MountFailure } from '../transports/common/transport.ts';

export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
/** Calls were found that can never end. */
export const EXIT_DEADLOCK = 3;
/** Calls were found that have waited longer than they may. */
export const EXIT_LONG_WAIT = 4;

/** Wrong usage: exit status 2. */
export class UsageFailure extends Error {
  override readonly name = 'UsageFailure';
}

/** A failure of a command, in one line that says what to do: exit status 1. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
}

/**
 * A call on the mount has not come back, and may never: the process has to end with `exitNow`, as Node would wait for the thread
 * that is in the call.
 */
export class UnansweredFailure extends CommandFailure {
  constructor(directory: string) {
    super(`${directory} does not answer: 'ipcfs umount ${directory}' ends it`);
  }
}

/** A line on standard error: parts of it may come from users, from files, or from other programs. */
function say(text: string): void {
  process.stderr.write(`ipcfs: ${printableLine(text)}\n`);
}

/** Prints one line for a person and returns the exit status. An error nobody foresaw shows its stack: it is a bug. */
export function report(error: unknown): number {
  if (error instanceof UsageFailure) {
    say(error.message);
    return EXIT_USAGE;
  }
  if (error instanceof CommandFailure || error instanceof MountFailure || error instanceof LibraryFailure) {
    say(error.message);
    return EXIT_FAILURE;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(
    `ipcfs: internal error, please report it: ${text.split('\n').map(printableLine).join('\n')}\n`,
  );
  return EXIT_FAILURE;
}

/** Prints what a person should know of something that went well; nothing when there is nothing to say. */
export function remark(text: string): void {
  if (text !== '') say(text);
}
