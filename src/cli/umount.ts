import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { loadPlatform, type Platform } from '../host/platform.ts';
import { removeSegmentDirectory, segmentMountsOf } from '../transports/common/segment-mounts.ts';
import { CommandFailure } from './failure.ts';
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
  if (isIpcfs(path) && !(await platform.unmount(path))) {
    throw new CommandFailure(
      `you may not unmount ${directory}: run this as the user who mounted it, or as root`,
    );
  }
  for (const segments of segmentMountsOf(path)) {
    if (await platform.unmount(segments)) removeSegmentDirectory(segments);
  }
}

/** The serving process, as it says itself; null when it does not answer. */
async function serverOf(path: string, platform: Platform): Promise<number | null> {
  try {
    const { stdout } = await promisify(execFile)('cat', [`${path}/info/version.json`], {
      timeout: ASK_TIMEOUT_MS,
    });
    const [row] = JSON.parse(stdout) as [{ pid: number }];
    return platform.isServer(row.pid) ? row.pid : null;
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
