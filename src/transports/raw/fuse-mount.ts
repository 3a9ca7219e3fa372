import { spawnSync, type SpawnSyncOptions, type SpawnSyncReturns } from 'node:child_process';
import { closeSync } from 'node:fs';
import { EBUSY, ENODEV, EPERM, errnoName } from '../../kern/errno.ts';
import * as libc from '../../host/linux/libc.ts';
import { CAP_SYS_ADMIN, hasCapability } from '../../host/linux/processes/capabilities.ts';
import { detachMount } from '../../host/linux/mounts/detach-mount.ts';
import type { MountEntry } from '../../host/linux/mounts/mount-table.ts';
import { FILE_SYSTEM_NAME, FILE_SYSTEM_TYPE } from '../../host/mounts.ts';
import { deviceFailure, FUSE_DEVICE } from '../common/fuse-device.ts';
import { MountFailure, type MountOptions } from '../common/transport.ts';

type MountFlags = Pick<MountOptions, 'directory' | 'allowOther' | 'noExec'>;

/** Set-user-id programs that mount for users: that of libfuse 3, and that of libfuse 2, which does the same. */
const HELPERS = ['fusermount3', 'fusermount'] as const;
const HELPER_TIMEOUT_MS = 10_000;

/** Detaches a mount of ours: by the system call where we may, otherwise through a helper. False when neither could. */
export function unmount({ id, directory }: Pick<MountEntry, 'id' | 'directory'>): boolean {
  if (detachMount(id, libc.MNT_DETACH)) return true;
  const { helper } = runHelper(['-u', '-z', '--', directory], { stdio: 'ignore' });
  return helper.status === 0;
}

/** EACCES is also what a search comes to whose path has folders that the user may not enter. */
function isMissing(error: NodeJS.ErrnoException | undefined): boolean {
  return error?.code === 'ENOENT' || error?.code === 'EACCES';
}

/** Runs the first helper that is there; `name` is the one that was tried last. */
function runHelper(
  args: readonly string[],
  options: SpawnSyncOptions,
): { name: string; helper: SpawnSyncReturns<string> } {
  for (const name of HELPERS) {
    const helper = spawnSync(name, args, { timeout: HELPER_TIMEOUT_MS, ...options, encoding: 'utf8' });
    if (!isMissing(helper.error) || name === HELPERS.at(-1)) return { name, helper };
  }
  throw new Error('not reached');
}

/** Mounts on `directory`; the descriptor of the connection, which the caller closes. */
export function mountFuse(options: MountFlags): number {
  // Also a user who has the right in a user namespace of their own.
  if (process.getuid!() === 0 || hasCapability('CapEff', CAP_SYS_ADMIN)) {
    const descriptor = mountDirectly(options);
    if (descriptor !== null) return descriptor;
  }
  return mountByHelper(options);
}

/** mount(2); null when this root has not the right (in a container), and the helper may still. */
function mountDirectly({ directory, allowOther, noExec }: MountFlags): number | null {
  const descriptor = libc.open(FUSE_DEVICE, libc.O_RDWR | libc.O_NONBLOCK | libc.O_CLOEXEC);
  if (descriptor < 0) throw deviceFailure(libc.failure());
  const options = [
    `fd=${descriptor}`,
    'rootmode=40000',
    `user_id=${process.getuid!()}`,
    `group_id=${process.getgid!()}`,
    'default_permissions',
    ...(allowOther ? ['allow_other'] : []),
  ];
  const flags = libc.MS_NOSUID | libc.MS_NODEV | (noExec === true ? libc.MS_NOEXEC : 0);
  if (libc.mount(FILE_SYSTEM_NAME, directory, FILE_SYSTEM_TYPE, flags, options.join(',')) === 0) {
    return descriptor;
  }
  const failure = libc.failure();
  closeSync(descriptor);
  if (failure === -EPERM) return null;
  if (failure === -EBUSY) throw new MountFailure(`${directory} is in use: choose another directory`);
  if (failure === -ENODEV)
    throw new MountFailure("this kernel has no FUSE: load it with 'modprobe fuse' as root");
  throw new MountFailure(`mounting on ${directory} failed with ${errnoName(failure)}: run 'ipcfs doctor'`);
}

/** Lets the set-user-id helper mount and hand the connection over through a socket. */
function mountByHelper({ directory, allowOther, noExec }: MountFlags): number {
  const pair = new Int32Array(2);
  if (libc.socketpair(libc.AF_UNIX, libc.SOCK_STREAM | libc.SOCK_CLOEXEC, 0, pair) < 0) {
    throw new MountFailure(
      `socketpair failed with ${errnoName(libc.failure())}: close some files and try again`,
    );
  }
  const [ours, theirs] = pair as unknown as [number, number];
  try {
    const options = [
      `fsname=${FILE_SYSTEM_NAME}`,
      'subtype=ipcfs',
      'nosuid',
      'nodev',
      'default_permissions',
      ...(noExec === true ? ['noexec'] : []),
      ...(allowOther ? ['allow_other'] : []),
    ];
    const { name, helper } = runHelper(['-o', options.join(','), '--', directory], {
      stdio: ['ignore', 'ignore', 'pipe', theirs],
      env: { ...process.env, _FUSE_COMMFD: '3' },
    });
    if (helper.error !== undefined) throw helperFailure(name, helper.error);
    if (helper.status !== 0) {
      const reason = helper.stderr.trim().split('\n').at(-1) ?? '';
      throw new MountFailure(`${reason === '' ? `${name} failed` : reason}: run 'ipcfs doctor'`);
    }
    // Without our copy of the other end, a helper that sent nothing shows as end-of-file instead of silence.
    closeSync(theirs);
    pair[1] = -1;
    const descriptor = receiveDescriptor(ours);
    if (descriptor < 0) throw new MountFailure(`${name} handed over no connection: run 'ipcfs doctor'`);
    libc.setNonBlocking(descriptor);
    return descriptor;
  } finally {
    closeSync(ours);
    if (pair[1] !== -1) closeSync(theirs);
  }
}

function helperFailure(name: string, error: NodeJS.ErrnoException): MountFailure {
  return new MountFailure(
    isMissing(error)
      ? `mounting needs root or ${HELPERS[0]}: install the package fuse3 (apt-get install fuse3)`
      : `${name} could not be run (${error.message}): run 'ipcfs doctor'`,
  );
}

const CONTROL_BYTES = 24;
const CONTROL_DESCRIPTOR_OFFSET = 16;

/** recvmsg with one SCM_RIGHTS descriptor; -1 when none came. */
function receiveDescriptor(socket: number): number {
  const data = new Uint8Array(64);
  const control = new DataView(new ArrayBuffer(CONTROL_BYTES));
  // struct iovec { address, length }, and struct msghdr: name, its length, iovec, its count, control, its length, flags.
  const vector = new BigUint64Array([libc.addressOf(data), 1n]);
  const message = new BigUint64Array([
    0n,
    0n,
    libc.addressOf(vector),
    1n,
    libc.addressOf(control),
    BigInt(CONTROL_BYTES),
    0n,
  ]);
  if (libc.recvmsg(socket, message, libc.MSG_CMSG_CLOEXEC) <= 0) return -1;
  return message[5]! >= BigInt(CONTROL_DESCRIPTOR_OFFSET + 4)
    ? control.getInt32(CONTROL_DESCRIPTOR_OFFSET, true)
    : -1;
}
