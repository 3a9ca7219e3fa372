import { expect, test } from 'vitest';
import { mountAt, mountTable, parseMount } from '../../src/host/linux/mounts/mount-table.ts';

test('a line of mountinfo, with and without optional fields', () => {
  const lines = [
    '36 35 98:7 /sub /mnt/one rw,noatime master:1 shared:9 - ext3 /dev/root rw,errors=continue',
    '37 35 0:52 / /mnt/two rw,nosuid,nodev,relatime - fuse.ipcfs ipcfs rw,user_id=0,group_id=0',
  ];
  expect(lines.map(parseMount)).toEqual([
    {
      id: 36,
      directory: '/mnt/one',
      type: 'ext3',
      source: '/dev/root',
      deviceMinor: 7,
      superOptions: ['rw', 'errors=continue'],
    },
    {
      id: 37,
      directory: '/mnt/two',
      type: 'fuse.ipcfs',
      source: 'ipcfs',
      deviceMinor: 52,
      superOptions: ['rw', 'user_id=0', 'group_id=0'],
    },
  ]);
});

test.each([
  ['/a\\040b', '/a b'],
  ['/a\\011b\\012c', '/a\tb\nc'],
  ['/back\\134040slash', '/back\\040slash'],
  ['/gr\xc3\xbc\xc3\x9fe', '/grüße'],
  ['/dash/-/x', '/dash/-/x'],
])('the directory %j is %j', (written, directory) => {
  const entry = parseMount(`36 35 0:7 / ${written} rw - tmpfs none rw`);
  expect(entry!.directory).toBe(directory);
});

test('a source may be empty', () => {
  const entry = parseMount('36 35 0:7 / /x rw - tmpfs  rw');
  expect(entry).toEqual({
    id: 36,
    directory: '/x',
    type: 'tmpfs',
    source: '',
    deviceMinor: 7,
    superOptions: ['rw'],
  });
});

test.each(['', '36 35 0:7 / /x rw', '36 35 0:7 / /x rw - ', '36 35 0:7 / /x rw - tmpfs', 'x - y z'])(
  'a line that is cut off (%j) is no entry',
  (line) => {
    expect(parseMount(line)).toBeNull();
  },
);

test('this process sees the mounts that it has, and only at their own directories', () => {
  expect(mountTable().length).toBeGreaterThan(0);
  expect(mountAt('/proc')?.type).toBe('proc');
  expect(mountAt('/proc/self')).toBeNull();
  expect(mountAt('/no such directory')).toBeNull();
});
