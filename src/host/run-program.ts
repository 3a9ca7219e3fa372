import { execFile } from 'node:child_process';

const TIMEOUT_MS = 10_000;
const MOST_OUTPUT_BYTES = 1024 * 1024;

/** Runs a program to its end: its exit status, -1 when it could not be run or took too long. */
export type RunProgram = (program: string, args: readonly string[]) => Promise<number>;

/** Runs a program without a shell; what it prints goes nowhere. */
export const runProgram: RunProgram = (program, args) =>
  new Promise((resolve) => {
    execFile(program, [...args], { timeout: TIMEOUT_MS }, (error) => {
      if (error === null) resolve(0);
      else resolve(typeof error.code === 'number' ? error.code : -1);
    });
  });

/**
 * What a program prints; null when it fails, prints too much, or has not ended after `timeoutMs`. It is killed then; one that the
 * server of a mount holds in a call cannot be, and is left behind.
 */
export function outputOf(
  program: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<string | null> {
  return new Promise((resolve) => {
    const child = execFile(program, [...args], { maxBuffer: MOST_OUTPUT_BYTES }, (error, stdout) => {
      clearTimeout(late);
      resolve(error === null ? stdout : null);
    });
    const late = setTimeout(() => {
      child.kill('SIGKILL');
      child.stdout!.destroy();
      child.stderr!.destroy();
      child.unref();
      resolve(null);
    }, timeoutMs);
  });
}
