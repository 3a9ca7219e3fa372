import { isIpcfsMount, mountAt, mountTable } from '../../host/mounts.ts';
import { outputOf } from '../../host/run-program.ts';
import { MountFailure } from './transport.ts';
import { removeSegmentDirectory, segmentMountsOf } from './segment-mounts.ts';

const PROBE_TIMEOUT_MS = 3000;

/** Linux says ENOTCONN, macFUSE ENXIO, when the server of a mount has died. */
const PROBE = `try { fs.opendirSync(process.argv[1]).closeSync(); console.log('alive') } catch (e) { console.log(['ENOTCONN', 'ENXIO'].includes(e.code) ? 'dead' : 'alive') }`;

export type MountState = 'alive' | 'dead' | 'silent';

/**
 * Whether the server of the mount at `directory` has died, or does not answer. Another process asks, as the answer may never come, and asks
 * for something that the kernel does not remember. It is not waited for: what the server holds in a call cannot be killed.
 */
export async function mountState(directory: string): Promise<MountState> {
  const text = await outputOf(process.execPath, ['-e', PROBE, directory], PROBE_TIMEOUT_MS);
  return text === null ? 'silent' : text.trim() === 'dead' ? 'dead' : 'alive';
}

/** What a host can do about mounts that are there. */
export interface MountPointHost {
  /** Takes a mount away although it is in use; false when that failed. */
  unmount(directory: string): Promise<boolean>;
  /** For tests, as the next. */
  readonly table?: typeof mountTable;
  readonly stateOf?: (directory: string) => Promise<MountState>;
}

/** Takes away what servers that died have left of mounts on `directory`. Fails when a living ipcfs is mounted there. */
export async function clearMountPoint(directory: string, host: MountPointHost): Promise<void> {
  const table = host.table ?? mountTable;
  while (isIpcfsMount(mountAt(directory, table()))) {
    if ((await (host.stateOf ?? mountState)(directory)) !== 'dead') {
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
