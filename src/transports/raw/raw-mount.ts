import { closeSync } from 'node:fs';
import createDebug from 'debug';
import { holdSpareDescriptor } from '../../host/linux/descriptors/spare-descriptor.ts';
import { handleBehind } from '../../host/linux/descriptors/descriptors.ts';
import { SleeperThread } from '../../host/linux/sleepers/sleeper-thread.ts';
import { MappingThread } from '../../host/linux/processes/mapping-thread.ts';
import { mountAt, type MountEntry, mountTable } from '../../host/linux/mounts/mount-table.ts';
import * as libc from '../../host/linux/libc.ts';
import { startThread } from '../../host/start-thread.ts';
import { clearMountPoint, mountState } from '../common/mount-point.ts';
import { type Mounted, MountFailure, type MountOptions } from '../common/transport.ts';
import { FUSE_OLDEST_MINOR_VERSION } from './protocol/constants.ts';
import { mountFuse, unmount } from './fuse-mount.ts';
import {
  Flag,
  FLAG_COUNT,
  type MainMessage,
  type WorkerInput,
  type WorkerMessage,
} from './worker-protocol.ts';

const log = createDebug('ipcfs:mount');

const PASSTHROUGH_REFUSED =
  '--shm-backing passthrough needs root and Linux 6.9 or newer: use auto, or cached';

/** A kernel that has agreed on nothing: it is older than the layouts here. */
function outdated(kernelMinor: number): string {
  return (
    `this kernel speaks FUSE 7.${kernelMinor} and the transport raw 7.${FUSE_OLDEST_MINOR_VERSION} or newer (Linux 5.4): ` +
    'use --transport fuse-native'
  );
}

/**
 * Mounts by our own transport and serves the mount from a worker thread. Resolves once the mount answers; rejects with a
 * MountFailure, and then nothing is left behind.
 */
export async function mountRaw(options: MountOptions): Promise<Mounted> {
  if (libc.libraryFailure !== null) throw new MountFailure(libc.libraryFailure.message);
  holdSpareDescriptor();
  await clearMountPoint(options.directory, {
    unmount(directory) {
      const entry = mountAt(directory);
      return Promise.resolve(entry !== null && unmount(entry));
    },
  });
  const fuseDescriptor = mountFuse({
    ...options,
    allowOther: options.allowOther || process.getuid!() === 0,
  });
  const wakeDescriptor = libc.eventfd(0, libc.EFD_NONBLOCK | libc.EFD_CLOEXEC);
  const flags = new Int32Array(new SharedArrayBuffer(FLAG_COUNT * Int32Array.BYTES_PER_ELEMENT));
  const place = mountAt(options.directory);
  const workerData: WorkerInput = {
    fuseDescriptor,
    wakeDescriptor,
    flags,
    shmBacking: options.shmBacking,
    mount: { id: place?.id ?? -1, deviceMinor: place?.deviceMinor ?? -1 },
    identity: {
      uid: process.getuid!(),
      gid: process.getgid!(),
      version: options.version,
      pid: process.pid,
    },
    spinMs: options.spinMs,
    ioUring: options.ioUring,
    sysctls: options.sysctls,
  };
  const worker = startThread(new URL('./worker.js', import.meta.url), workerData);
  const wake = (): void => {
    libc.write(wakeDescriptor, new BigUint64Array([1n]), 8);
  };
  const send = (message: MainMessage): void => {
    worker.postMessage(message);
    // Woken first: the worker empties the eventfd when it sees the flag, and one that is filled after that would never let it sleep.
    wake();
    Atomics.store(flags, Flag.Mail, 1);
  };
  const mappingThread = new MappingThread();
  const sendMappers = async (): Promise<void> => {
    const seen = place === null ? null : await mappingThread.look(place.deviceMinor);
    send({ kind: 'mappers', seen });
  };
  const sleeperThread = new SleeperThread();
  const sendSleepers = async (blocked: readonly number[]): Promise<void> => {
    const asked = place === null ? null : { deviceMinor: place.deviceMinor, blocked };
    send({ kind: 'sleepers', seen: asked === null ? null : await sleeperThread.look(asked) });
  };
  const findEntry = (): MountEntry | undefined =>
    mountTable().find(({ id, deviceMinor }) => id === place?.id && deviceMinor === place.deviceMinor);
  let isMounted = true;
  const release = (): void => {
    // Wherever it is now: a folder above it may have been renamed.
    const entry = isMounted ? findEntry() : undefined;
    if (entry !== undefined) unmount(entry);
    isMounted = false;
  };
  /** Once the connection has ended. An aborted one leaves its mount behind, dead. */
  const releaseDead = async (): Promise<void> => {
    const entry = isMounted ? findEntry() : undefined;
    isMounted = false;
    // Linux gives the numbers of a mount that has ended to the next one, which is somebody else's.
    if (entry === undefined || entry.directory !== place?.directory) return;
    if ((await mountState(entry.directory)) === 'dead') unmount(entry);
  };

  let hasEnded = false as boolean;
  let isHeld = false as boolean;
  let refusal: string | null = null;
  let onReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => (onReady = resolve));
  const ended = new Promise<void>((resolve, reject) => {
    worker.on('message', (message: WorkerMessage) => {
      log('worker: %o', message);
      if (message.kind === 'ready') onReady();
      else if (message.kind === 'findMappers') void sendMappers();
      else if (message.kind === 'findSleepers') void sendSleepers(message.blocked);
      else if (message.kind === 'findHandle') {
        const { id, pid, descriptor } = message.question;
        send({ kind: 'handle', id, handle: handleBehind(pid, descriptor, workerData.mount) });
      } else if (message.kind === 'held') {
        isHeld = true;
        resolve();
      } else if (message.kind === 'refused') refusal = message.reason;
      else if (message.why === 'unmounted') hasEnded = true;
      else if (message.why === 'refused') refusal ??= PASSTHROUGH_REFUSED;
      else if (message.why === 'outdated') refusal = outdated(message.kernelMinor!);
    });
    worker.on('error', (error) => {
      reject(error instanceof Error ? error : new Error(String(error)));
    });
    worker.on('exit', () => {
      resolve();
    });
  }).finally(async () => {
    // Detached first: closing the connection makes every path to the mount fail.
    if (hasEnded) await releaseDead();
    else release();
    closeSync(fuseDescriptor);
    closeSync(wakeDescriptor);
  });
  ended.catch(() => undefined);

  await Promise.race([
    ready,
    ended.then(() => {
      throw new MountFailure(
        refusal ?? `${options.directory} was unmounted before it answered: mount it again`,
      );
    }),
  ]);
  return {
    ended,
    get isHeld() {
      return isHeld;
    },
    stop: () => {
      // No new call finds the mount; those that wait in it are answered by the worker as it ends.
      release();
      Atomics.store(flags, Flag.Stop, 1);
      wake();
    },
  };
}
