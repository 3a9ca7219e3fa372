import { readFileLines } from '../bounded-read.ts';
import { MOUNT_TABLE_LIMITS } from '../mounts/mount-table.ts';
import type { FileStatus } from './calls.ts';

/** File systems of this machine that ask nobody else: a look at one of their files does not wait for another program. */
const LOCAL_TYPES: ReadonlySet<string> = new Set([
  ...[
    'ext2',
    'ext3',
    'ext4',
    'xfs',
    'btrfs',
    'f2fs',
    'bcachefs',
    'zfs',
    'jfs',
    'reiserfs',
    'nilfs2',
    'minix',
  ],
  ...['tmpfs', 'ramfs', 'rootfs', 'devtmpfs', 'overlay', 'squashfs', 'erofs', 'iso9660', 'udf'],
  ...['vfat', 'exfat', 'msdos', 'ntfs3', 'hfsplus', 'ubifs', 'jffs2'],
]);

interface Mount {
  readonly id: number;
  readonly device: string;
  readonly directory: string;
  readonly type: string;
  readonly options: string;
}

/** Mounts of the server: other users can add none to these but FUSE's. */
function mounts(): Mount[] {
  const all: Mount[] = [];
  readFileLines('/proc/self/mountinfo', MOUNT_TABLE_LIMITS, (line) => {
    const [before, after] = line.split(' - ') as [string, string?];
    const fields = before.split(' ');
    const [type, , options] = (after ?? '').split(' ');
    if (fields.length >= 6 && type !== undefined)
      all.push({
        id: Number(fields[0]),
        device: fields[2]!,
        directory: fields[4]!,
        type,
        options: options ?? '',
      });
    return true;
  });
  return all;
}

/** The directories of which an overlay is made, as its options name them. */
function layersOf({ options }: Mount): string[] {
  return options
    .split(',')
    .filter((option) => /^(?:lowerdir|upperdir)[+]?=/.test(option))
    .flatMap((option) => option.slice(option.indexOf('=') + 1).split(':'))
    .filter((directory) => directory.startsWith('/'));
}

function isWithin(path: string, directory: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`);
}

/** The name of the file system that a file lies in if it is not local; null when it is. */
export function foreignType({ device, mountId }: FileStatus): string | null {
  const all = mounts();
  const mount = all.find(({ id }) => id === mountId) ?? all.find((entry) => entry.device === device);
  if (mount === undefined) return 'a file system that the server does not have mounted';
  if (!LOCAL_TYPES.has(mount.type)) return mount.type;
  if (mount.type !== 'overlay') return null;
  for (const layer of layersOf(mount)) {
    let below: Mount | null = null;
    for (const entry of all)
      if (isWithin(layer, entry.directory) && entry.directory.length >= (below?.directory.length ?? 0))
        below = entry;
    if (below !== null && !LOCAL_TYPES.has(below.type)) return `overlay on ${below.type}`;
  }
  return null;
}
