import { setTimeout as delay } from 'node:timers/promises';
import { loadPlatform } from '../../host/load-platform.ts';
import type { Platform } from '../../host/platform.ts';
import { outputOf } from '../../host/run-program.ts';
import { removeSegmentDirectory, segmentMountsOf } from '../../transports/common/segment-mounts.ts';
import { CommandFailure } from '../failures.ts';
import { findMount, isIpcfs } from './mount-point.ts';

const ASK_TIMEOUT_MS = 1000;
const END_TIMEOUT_MS = 2000;
const POLL_INTERVAL_MS = 10;

/** `ipcfs umount`: asks the server to end, which answers the calls that wait; detaches the mount itself if it does not. */
export async function umountCommand(directory: string): Promise<void> {
  const path = findMount(directory);
  const platform = await loadPlatform();
  const pid = await serverOf(path, platform);
  if (pid !== null && signal(pid) && (await isGone(path))) return;
  if (!(await takeMountAway(path, platform))) {
    throw new CommandFailure(
      `you may not unmount ${directory}: run this as the user who mounted it, or as root`,
    );
  }
}

/** Detaches what is mounted on `path`, if anything is, and the mounts that belong to it, without their server. False when we may not. */
export async function takeMountAway(path: string, platform: Platform): Promise<boolean> {
  if (isIpcfs(path) && !platform.detach(path) && !(await platform.unmount(path))) return false;
  for (const segments of segmentMountsOf(path)) {
    if (platform.detach(segments) || (await platform.unmount(segments))) removeSegmentDirectory(segments);
  }
  return true;
}

/** The serving process, as it says itself; null when it does not answer. */
async function serverOf(path: string, platform: Platform): Promise<number | null> {
  const text = await outputOf('cat', [`${path}/info/version.json`], ASK_TIMEOUT_MS);
  try {
    const [row] = JSON.parse(text ?? '') as [{ pid: unknown }];
    // Any other value would name more than one process, or none.
    return Number.isSafeInteger(row.pid) && Number(row.pid) > 1 && platform.isServer(Number(row.pid), path)
      ? Number(row.pid)
      : null;
  } catch {
    return null;
  }
}

function signal(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGTERM');
  } catch {
    return false;
  }
}

async function isGone(path: string): Promise<boolean> {
  const deadlineMs = performance.now() + END_TIMEOUT_MS;
  while (isIpcfs(path)) {
    if (performance.now() > deadlineMs) return false;
    await delay(POLL_INTERVAL_MS);
  }
  return true;
}
