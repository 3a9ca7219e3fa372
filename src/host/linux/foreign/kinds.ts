import { EBADF, EMFILE, ENFILE, ENOSYS, EOPNOTSUPP, EPERM } from '../../../kern/errno.ts';
import * as libc from '../libc.ts';
import * as calls from './calls.ts';

/** What a watched open file is. */
export type StreamKind = 'tcp' | 'stream' | 'datagram' | 'pipe' | 'terminal' | 'other';

/** Why something is not watched. */
export interface Refusal {
  /** Negative. */
  readonly errno: number;
  readonly reason: string;
}

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const SOCK_STREAM = 1;
const SOCK_SEQPACKET = 5;
const IPPROTO_TCP = 6;
/** Protocols of datagrams whose poll takes no lock that a caller can hold: ICMP, UDP, ICMPv6, UDP-Lite. */
const DATAGRAM_PROTOCOLS: ReadonlySet<number> = new Set([1, 17, 58, 136]);

/** Majors of terminals: virtual consoles and serial lines, /dev/tty, pseudo-terminals, and lines on USB and of ARM boards. */
function isTerminal(major: number): boolean {
  return major === 4 || major === 5 || (major >= 128 && major <= 143) || [166, 188, 204].includes(major);
}

/** Files without a name in any file system whose poll takes no lock that a caller can hold. */
const ANONYMOUS: ReadonlySet<string> = new Set([
  'anon_inode:[eventfd]',
  'anon_inode:[timerfd]',
  'anon_inode:inotify',
  'anon_inode:[pidfd]',
]);

const REASONS: ReadonlyMap<string, string> = new Map([
  ['anon_inode:[signalfd]', 'a signalfd tells each process of its own signals: watch the filter signal'],
  ['anon_inode:[eventpoll]', 'an epoll set can be held by its user: watch its descriptors'],
]);

export function unsupported(reason: string): Refusal {
  return { errno: -EOPNOTSUPP, reason };
}

export function noDescriptor(reason: string): Refusal {
  return { errno: -EBADF, reason };
}

/**
 * The kind of a descriptor by what /proc shows, before anybody takes a copy: `socket` is decided by the copy, `node` is a file, a directory or a
 * symbolic link of some file system.
 */
export function kindOfEntry(
  status: calls.FileStatus,
  target: string,
): StreamKind | 'socket' | 'node' | Refusal {
  switch (status.type) {
    case calls.S_IFSOCK:
      return 'socket';
    case calls.S_IFIFO:
      return 'pipe';
    case calls.S_IFREG:
    case calls.S_IFDIR:
    case calls.S_IFLNK:
      return 'node';
    case calls.S_IFCHR:
      return isTerminal(status.deviceMajor) ? 'terminal' : unsupported('a device that is no terminal');
    case 0:
      if (ANONYMOUS.has(target)) return 'other';
      return unsupported(REASONS.get(target) ?? `a file of this kind (${target}) is not watched`);
    default:
      return unsupported('a file of this kind is not watched');
  }
}

/** The kind of a socket. */
export function kindOfSocket(descriptor: number): StreamKind | Refusal {
  const domain = calls.integerOption(descriptor, calls.SO_DOMAIN);
  const type = calls.integerOption(descriptor, calls.SO_TYPE);
  const protocol = calls.integerOption(descriptor, calls.SO_PROTOCOL);
  if (domain === AF_UNIX) return type === SOCK_STREAM || type === SOCK_SEQPACKET ? 'stream' : 'datagram';
  if (domain === AF_INET || domain === AF_INET6) {
    if (type === SOCK_STREAM && protocol === IPPROTO_TCP) return 'tcp';
    if (type !== SOCK_STREAM && DATAGRAM_PROTOCOLS.has(protocol)) return 'datagram';
  }
  if (domain === AF_NETLINK) return 'datagram';
  return unsupported(`a socket of this kind (family ${domain}, protocol ${protocol}) is not watched`);
}

/** Whether a copy is what /proc has shown: the number may lead elsewhere by now. */
export function fits(kind: StreamKind | 'socket', descriptor: number): boolean {
  const status = calls.statusOfDescriptor(descriptor);
  if (status === null) return false;
  switch (kind) {
    case 'pipe':
      return status.type === calls.S_IFIFO;
    case 'terminal':
      return status.type === calls.S_IFCHR && isTerminal(status.deviceMajor);
    case 'other':
      return status.type === 0;
    default:
      return status.type === calls.S_IFSOCK;
  }
}

/** Why a process's descriptors cannot be copied: the errno of pidfd_getfd in words. */
export function copyRefusal(pid: number): Refusal {
  switch (libc.failure()) {
    case -EPERM:
      return noDescriptor(
        `the server may not copy descriptors of process ${pid}: run it as root (in a container with --cap-add SYS_PTRACE), ` +
          'or set kernel.yama.ptrace_scope=0, or let the program call prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY)',
      );
    case -ENOSYS:
      return noDescriptor('this system has no pidfd_getfd (Linux 5.6)');
    case -EMFILE:
    case -ENFILE:
      return { errno: -ENFILE, reason: 'the server has no descriptors left' };
    default:
      return noDescriptor('it is not open');
  }
}
