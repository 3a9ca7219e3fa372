import { EACCES, ENODEV, ENOENT, ENXIO, EPERM, errnoName } from '../../kern/errno.ts';
import { MountFailure } from './transport.ts';

export const FUSE_DEVICE = '/dev/fuse';

/** The failure to report when opening /dev/fuse failed with this negative errno. */
export function deviceFailure(errno: number): MountFailure {
  switch (errno) {
    case -ENOENT:
    case -ENODEV:
    case -ENXIO:
      return new MountFailure(
        `there is no ${FUSE_DEVICE}: load FUSE with 'modprobe fuse' as root, or start the container with --device ${FUSE_DEVICE}`,
      );
    case -EACCES:
    case -EPERM:
      return new MountFailure(
        `you may not open ${FUSE_DEVICE}: run 'ipcfs doctor' to see who may, or mount as root`,
      );
    default:
      return new MountFailure(`opening ${FUSE_DEVICE} failed with ${errnoName(errno)}: run 'ipcfs doctor'`);
  }
}
