import { setTimeout as delay } from 'node:timers/promises';
import { captureStandardError } from '../../host/standard-error.ts';
import { MountFailure, type MountOptions } from '../common/transport.ts';
import type { FuseMount } from './binding.ts';

const READY_TIMEOUT_MS = 10_000;

/** Waits for a binding's mount to answer; rejects with what it, or libfuse on standard error, gave as the reason. */
export async function ready(mount: FuseMount): Promise<void> {
  const late = new AbortController();
  const said = captureStandardError();
  let words: string;
  try {
    await Promise.race([
      new Promise<void>((resolve, reject) => {
        mount.mount((error) => {
          if (error === null || error === undefined) resolve();
          else reject(error);
        });
      }),
      delay(READY_TIMEOUT_MS, undefined, { signal: late.signal }).then(() => {
        throw new Error(`no answer within ${READY_TIMEOUT_MS / 1000} s`);
      }),
    ]);
    words = said.end();
  } catch (error) {
    words = said.end();
    const reason = words === '' ? (error as Error).message : words.split('\n').at(-1);
    throw new Error(reason, { cause: error });
  } finally {
    late.abort();
  }
  if (words !== '') process.stderr.write(`${words}\n`);
}

/** What to tell of a mount on `directory` that has failed. */
export function mountingFailed(
  { fuseModule }: MountOptions,
  directory: string,
  { message }: Error,
): MountFailure {
  // The binding's own words, for the root of another file system.
  if (message === 'Mountpoint in use') {
    return new MountFailure(
      `${directory} is a mount point already, which ${fuseModule} does not mount over: choose a directory in it`,
    );
  }
  if (message.includes('failed to exec fusermount')) {
    return new MountFailure(
      'mounting needs root or fusermount: install the package fuse3 (apt-get install fuse3), or fuse',
    );
  }
  return new MountFailure(`mounting on ${directory} failed (${message}): run 'ipcfs doctor'`);
}
