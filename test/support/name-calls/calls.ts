import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';

const { O_NONBLOCK } = fs.constants;
const SECOND = 1000;
/** Time stamps of Linux move in steps of up to 10 ms. */
const CLOCK_STEP_MS = 15;

/** 'ok', what the call gives when that is a value, or the name of its error. */
export function outcome(call: () => unknown): unknown {
  try {
    const result = call();
    return result === undefined ? 'ok' : result;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

export function pipe(...names: string[]): void {
  if (spawnSync('mkfifo', ['--', ...names], { stdio: 'ignore' }).status !== 0)
    throw new Error('mkfifo failed');
}

export function makePipe(name: string): unknown {
  const { status, stderr } = spawnSync('mkfifo', ['--', name], { encoding: 'latin1' });
  return status === 0 ? 'ok' : stderr.slice(stderr.lastIndexOf(':') + 2).trim();
}

export function openAs(path: string, flags: number): unknown {
  return outcome(() => {
    fs.closeSync(fs.openSync(path, flags | O_NONBLOCK, 0o644));
  });
}

/** Mode bits, links and owners: what must be the same; types and sizes are not. */
export function shown(path: string): unknown {
  return outcome(() => {
    const { mode, nlink, uid, gid } = fs.lstatSync(path);
    return `${(mode & 0o7777).toString(8)} ${nlink} ${uid}:${gid}`;
  });
}

export function as<T>(uid: number, gid: number, work: () => T): T {
  process.setegid!(gid);
  process.seteuid!(uid);
  try {
    return work();
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
  }
}

/** Whether a call moves the times of a file: c, m and a. */
export function moved(path: string, call: () => void): string {
  fs.lutimesSync(path, SECOND, SECOND);
  const before = fs.lstatSync(path, { bigint: true });
  const until = performance.now() + CLOCK_STEP_MS;
  while (performance.now() < until);
  call();
  const after = fs.lstatSync(path, { bigint: true });
  return [
    after.ctimeNs > before.ctimeNs ? 'c' : '-',
    after.mtimeNs > before.mtimeNs ? 'm' : '-',
    after.atimeNs > before.atimeNs ? 'a' : '-',
  ].join('');
}
