import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { darwinMountTable, parseDarwinMounts } from '../../src/host/darwin/mount-table.ts';
import { createDarwinPlatform } from '../../src/host/darwin/darwin-platform.ts';
import { hostResult, linuxOpenFlags } from '../../src/host/host-numbers.ts';
import { isIpcfsMount, listCommand, mountAt } from '../../src/host/mounts.ts';
import { createLinuxPlatform } from '../../src/host/linux/linux-platform.ts';
import { clearMountPoint } from '../../src/transports/common/mount-point.ts';
import { makeSegmentDirectory, removeSegmentDirectory } from '../../src/transports/common/segment-mounts.ts';
import { EAGAIN, EINTR, ENAMETOOLONG, ENOTEMPTY, EOPNOTSUPP } from '../../src/kern/errno.ts';

/** As <sys/errno.h> and <fcntl.h> of macOS have them. */
const darwinErrnos = { EINTR: 4, EIO: 5, EAGAIN: 35, ENAMETOOLONG: 63, ENOTEMPTY: 66, EOPNOTSUPP: 102 };
const darwinFlags = { O_NONBLOCK: 0x4, O_APPEND: 0x8, O_TRUNC: 0x400, O_EXCL: 0x800 };

const MOUNTS = `/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
ipcfs on /Users/me/two words on a line (macfuse, nodev, nosuid, synchronous, mounted by me)
ipcfs on /Users/me/two words on a line/shm (macfuse, nodev, nosuid, synchronous, mounted by me)
sshfs#host: on /Users/me/remote (macfuse, nodev, nosuid, mounted by me)
`;

test('results go out in the numbers of the host', () => {
  const numbers = [EINTR, EAGAIN, ENAMETOOLONG, ENOTEMPTY, EOPNOTSUPP].map((errno) =>
    hostResult(-errno, darwinErrnos),
  );
  expect(numbers).toEqual([-4, -35, -63, -66, -102]);
  expect(hostResult(4096, darwinErrnos)).toBe(4096);
  // An error that the host does not know must not become another that it does.
  expect(hostResult(-71, darwinErrnos)).toBe(-5);
  expect(hostResult(-EAGAIN)).toBe(-EAGAIN);
});

test('flags of open come in from the numbers of the host', () => {
  expect(linuxOpenFlags(0x1 | 0x4, darwinFlags)).toBe(0o4001);
  expect(linuxOpenFlags(0x2 | 0x400 | 0x800 | 0x8, darwinFlags)).toBe(0o3202);
  expect(linuxOpenFlags(0x1000000, darwinFlags)).toBe(0);
  expect(linuxOpenFlags(0o4002)).toBe(0o4002);
});

test('mounts are found in what mount(8) lists', () => {
  const table = darwinMountTable(() => MOUNTS);
  expect(table.map(({ directory }) => directory)).toContain('/Users/me/two words on a line');
  expect(isIpcfsMount(mountAt('/Users/me/two words on a line', table))).toBe(true);
  expect(isIpcfsMount(mountAt('/Users/me/remote', table))).toBe(false);
  expect(isIpcfsMount(mountAt('/', table))).toBe(false);
  expect(mountAt('/Users/me', table)).toBe(null);
  expect(parseDarwinMounts('mount: cannot read\n')).toEqual([]);
});

test('what a server that died has left is taken away by the means of the host, and a living one is not', async () => {
  const directory = '/Users/me/two words on a line';
  let lines = MOUNTS.split('\n');
  const unmounted: string[] = [];
  const host = (isDead: boolean, canUnmount: boolean) => ({
    table: () => parseDarwinMounts(lines.join('\n')),
    stateOf: () => Promise.resolve(isDead ? ('dead' as const) : ('alive' as const)),
    unmount: (from: string) => {
      unmounted.push(from);
      if (canUnmount) lines = lines.filter((line) => !line.includes(` on ${from} (`));
      return Promise.resolve(canUnmount);
    },
  });
  await expect(clearMountPoint(directory, host(false, true))).rejects.toThrow(/already an ipcfs mount/);
  await expect(clearMountPoint(directory, host(true, false))).rejects.toThrow(/dead mount that you may not/);
  unmounted.splice(0);
  const segments = makeSegmentDirectory(directory);
  try {
    lines.push(`ipcfs on ${segments} (macfuse, nodev, nosuid, synchronous, mounted by me)`);
    lines.push(`ipcfs on ${segments.replace(/-[^-]*$/, 'x-other')} (macfuse, nodev, nosuid)`);
    await clearMountPoint(directory, host(true, true));
    expect(unmounted).toEqual([directory, segments]);
    expect(existsSync(segments)).toBe(false);
    await clearMountPoint('/Users/me/remote', host(true, true));
    expect(unmounted).toHaveLength(2);
  } finally {
    removeSegmentDirectory(segments);
  }
});

test('every process number is believed where there is one numbering, and on Linux only that of a server', () => {
  expect(createDarwinPlatform().isServer(1, '/')).toBe(true);
  expect(createLinuxPlatform().isServer(process.pid, '/')).toBe(false);
  expect([listCommand('darwin'), listCommand('linux')]).toEqual([
    'mount | grep ipcfs',
    'grep ipcfs /proc/mounts',
  ]);
});

test('unmounting goes on with diskutil where umount is refused', async () => {
  const calls: string[] = [];
  const platform = (statuses: number[]) =>
    createDarwinPlatform((program, args) => {
      calls.push([program, ...args].join(' '));
      return Promise.resolve(statuses.shift()!);
    });
  expect(await platform([0]).unmount('/m')).toBe(true);
  expect(calls.splice(0)).toEqual(['/sbin/umount -f /m']);
  expect(await platform([1, 0]).unmount('/m')).toBe(true);
  expect(calls.splice(0)).toEqual(['/sbin/umount -f /m', '/usr/sbin/diskutil unmount force /m']);
  expect(await platform([1, 1]).unmount('/m')).toBe(false);
});

test('a host without memfd and process events has memory of its own, PIPE_BUF of 512, and no wait without end', () => {
  const platform = createDarwinPlatform();
  expect(platform.pipeBufBytes).toBe(512);
  expect(platform.createProcessEvents({ add: () => undefined, remove: () => undefined })).toBe(null);
  expect(platform.mountOptions).toContain('daemon_timeout=0');
  expect(platform.canNestMounts).toBe(false);
  const staged = platform.createMemory().stage();
  if (typeof staged === 'number') throw new Error('no memory');
  expect(staged.write(3, Uint8Array.of(1, 2))).toBe(0);
  const bytes = new Uint8Array(2);
  staged.read(3, bytes);
  expect([...bytes]).toEqual([1, 2]);
  expect(platform.host.supplementaryGroups(1)).toEqual([]);
  expect(platform.host.describeDescriptor(1, 1)).toBe(null);
});
