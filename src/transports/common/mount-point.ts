import { spawnSync } from 'node:child_process';
import { isIpcfsMount, mountAt, mountTable } from '../../host/mounts.ts';
import { MountFailure } from '../transport.ts';
import { removeSegmentDirectory, segmentMountsOf } from './segment-mounts.ts';

const PROBE_TIMEOUT_MS = 3000;

/** Exit status of the probe when the server of a mount has died. */
const DEAD = 3;
/** Linux says ENOTCONN, macFUSE ENXIO. */
const PROBE = `try { fs.opendirSync(process.argv[1]).closeSync() } catch (e) { if (['ENOTCONN', 'ENXIO'].includes(e.code)) process.exit(${DEAD}) }`;

/**
 * Whether the server of the mount at `directory` has died. Another process asks, as the answer may never come, and asks for
 * something that the kernel does not remember.
 */
export function isDead(directory: string): boolean {
  const probe = spawnSync(process.execPath, ['-e', PROBE, directory], {
    timeout: PROBE_TIMEOUT_MS,
    stdio: 'ignore',
  });
  return probe.status === DEAD;
}

/** What a host can do about mounts that are there. */
export interface MountPointHost {
  /** Takes a mount away although it is in use; false when that failed. */
  unmount(directory: string): Promise<boolean>;
  /** For tests, as the next. */
  readonly table?: typeof mountTable;
  readonly isDead?: (directory: string) => boolean;
}

/** Takes away what servers that died have left of mounts on `directory`. Fails when a living ipcfs is mounted there. */
export async function clearMountPoint(directory: string, host: MountPointHost): Promise<void> {
  const table = host.table ?? mountTable;
  while (isIpcfsMount(mountAt(directory, table()))) {
    if (!(host.isDead ?? isDead)(directory)) {
      throw new MountFailure(`${directory} is already an ipcfs mount: run 'ipcfs umount ${directory}' first`);
    }
    if (!(await host.unmount(directory))) {
      throw new MountFailure(
        `${directory} holds a dead mount that you may not remove: run 'umount ${directory}' as root`,
      );
    }
  }
  for (const abandoned of segmentMountsOf(directory, table())) {
    if (await host.unmount(abandoned)) removeSegmentDirectory(abandoned);
  }
}
