import { closeSync } from 'node:fs';
import createDebug from 'debug';
import { holdSpareDescriptor } from '../../host/linux/spare-descriptor.ts';
import { handleBehind } from '../../host/linux/descriptors.ts';
import { findMappings } from '../../host/linux/mappings.ts';
import { mountAt } from '../../host/linux/mount-table.ts';
import * as libc from '../../host/linux/libc.ts';
import { startThread } from '../../host/start-thread.ts';
import type { Mappings } from '../common/mapper-query.ts';
import { clearMountPoint } from '../common/mount-point.ts';
import { type Mounted, MountFailure, type MountOptions } from '../transport.ts';
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
  await clearMountPoint(options.directory, { unmount: (directory) => Promise.resolve(unmount(directory)) });
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
  const sendMappers = async (): Promise<void> => {
    let mappings: Mappings = null;
    try {
      const device = mountAt(options.directory);
      if (device !== null) mappings = await findMappings(device.deviceMinor);
    } catch (error) {
      // No descriptors left, perhaps. A table without this column is no reason to end the mount.
      log('mappings could not be read: %o', error);
    }
    send({ kind: 'mappers', mappings });
  };
  let isMounted = true;
  const release = (): void => {
    // An aborted connection leaves its mount behind, dead. One that somebody has made at the same place since is not ours.
    if (isMounted && place !== null && mountAt(options.directory)?.id === place.id)
      unmount(options.directory);
    isMounted = false;
  };

  let refusal: string | null = null;
  let onReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => (onReady = resolve));
  const ended = new Promise<void>((resolve, reject) => {
    worker.on('message', (message: WorkerMessage) => {
      log('worker: %o', message);
      if (message.kind === 'ready') onReady();
      else if (message.kind === 'findMappers') void sendMappers();
      else if (message.kind === 'findHandle') {
        const { id, pid, descriptor } = message.question;
        send({ kind: 'handle', id, handle: handleBehind(pid, descriptor, workerData.mount) });
      } else if (message.why === 'refused') refusal = PASSTHROUGH_REFUSED;
      else if (message.why === 'outdated') refusal = outdated(message.kernelMinor!);
    });
    worker.on('error', (error) => {
      reject(error instanceof Error ? error : new Error(String(error)));
    });
    worker.on('exit', () => {
      resolve();
    });
  }).finally(() => {
    // Detached first: closing the connection makes every path to the mount fail.
    release();
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
    stop: () => {
      // No new call finds the mount; those that wait in it are answered by the worker as it ends.
      release();
      Atomics.store(flags, Flag.Stop, 1);
      wake();
    },
  };
}
