/** Numbers of system calls that threads sleep in. Each architecture has its own; those from 424 on are the same everywhere. */
const EVERYWHERE: readonly (readonly [number, string])[] = [
  [426, 'io_uring_enter'],
  [441, 'epoll_pwait2'],
  [449, 'futex_waitv'],
  [455, 'futex_wait'],
];

const X86_64: readonly (readonly [number, string])[] = [
  [0, 'read'],
  [1, 'write'],
  [7, 'poll'],
  [16, 'ioctl'],
  [19, 'readv'],
  [20, 'writev'],
  [23, 'select'],
  [34, 'pause'],
  [35, 'nanosleep'],
  [42, 'connect'],
  [43, 'accept'],
  [44, 'sendto'],
  [45, 'recvfrom'],
  [46, 'sendmsg'],
  [47, 'recvmsg'],
  [61, 'wait4'],
  [65, 'semop'],
  [69, 'msgsnd'],
  [70, 'msgrcv'],
  [72, 'fcntl'],
  [73, 'flock'],
  [74, 'fsync'],
  [128, 'rt_sigtimedwait'],
  [130, 'rt_sigsuspend'],
  [202, 'futex'],
  [220, 'semtimedop'],
  [230, 'clock_nanosleep'],
  [232, 'epoll_wait'],
  [247, 'waitid'],
  [257, 'openat'],
  [270, 'pselect6'],
  [271, 'ppoll'],
  [275, 'splice'],
  [281, 'epoll_pwait'],
  [288, 'accept4'],
];

/** The numbers of asm-generic/unistd.h, which arm64 has. */
const ARM64: readonly (readonly [number, string])[] = [
  [22, 'epoll_pwait'],
  [25, 'fcntl'],
  [29, 'ioctl'],
  [32, 'flock'],
  [56, 'openat'],
  [63, 'read'],
  [64, 'write'],
  [65, 'readv'],
  [66, 'writev'],
  [72, 'pselect6'],
  [73, 'ppoll'],
  [76, 'splice'],
  [82, 'fsync'],
  [95, 'waitid'],
  [98, 'futex'],
  [101, 'nanosleep'],
  [115, 'clock_nanosleep'],
  [133, 'rt_sigsuspend'],
  [137, 'rt_sigtimedwait'],
  [188, 'msgrcv'],
  [189, 'msgsnd'],
  [192, 'semtimedop'],
  [193, 'semop'],
  [202, 'accept'],
  [203, 'connect'],
  [206, 'sendto'],
  [207, 'recvfrom'],
  [211, 'sendmsg'],
  [212, 'recvmsg'],
  [242, 'accept4'],
  [260, 'wait4'],
];

export type Architecture = 'x64' | 'arm64';

const names: Readonly<Record<Architecture, ReadonlyMap<number, string>>> = {
  x64: new Map([...X86_64, ...EVERYWHERE]),
  arm64: new Map([...ARM64, ...EVERYWHERE]),
};

/** The architecture that this program runs on; null where the numbers of system calls are not known. */
export function ownArchitecture(): Architecture | null {
  return process.arch === 'x64' || process.arch === 'arm64' ? process.arch : null;
}

/** The name of a system call; null when the number is not in the lists. */
export function systemCallName(number: number, architecture: Architecture): string | null {
  return names[architecture].get(number) ?? null;
}
