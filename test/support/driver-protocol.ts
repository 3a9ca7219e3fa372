/** One system call for a driver to make. Descriptors and flags are Linux's. */
export type DriverCall =
  | { readonly call: 'open'; readonly path: string; readonly flags: number; readonly mode?: number }
  | { readonly call: 'close'; readonly fd: number }
  | { readonly call: 'read'; readonly fd: number; readonly count: number }
  /** A read whose bytes stay in the driver: `value` is how many differ from the pattern from `offset` on. */
  | { readonly call: 'readPattern'; readonly fd: number; readonly count: number; readonly offset: number }
  | { readonly call: 'pread'; readonly fd: number; readonly count: number; readonly offset: number }
  /** Bytes as one character each, or so many bytes of `pattern`; the cuts make it a writev. */
  | { readonly call: 'write'; readonly fd: number; readonly text: string }
  /** Bytes as pairs of hexadecimal digits: what a record is made of would not survive as text. */
  | { readonly call: 'writeHex'; readonly fd: number; readonly hex: string }
  /** The same for a read; the bytes come back in `text`. */
  | { readonly call: 'readHex'; readonly fd: number; readonly count: number }
  | { readonly call: 'pwrite'; readonly fd: number; readonly text: string; readonly offset: number }
  | { readonly call: 'writePattern'; readonly fd: number; readonly count: number }
  | { readonly call: 'writev'; readonly fd: number; readonly counts: readonly number[] }
  | { readonly call: 'lseek'; readonly fd: number; readonly offset: number; readonly whence: number }
  | { readonly call: 'ftruncate'; readonly fd: number; readonly size: number }
  | { readonly call: 'fchmod'; readonly fd: number; readonly mode: number }
  | { readonly call: 'fstat'; readonly fd: number }
  | { readonly call: 'stat'; readonly path: string }
  | { readonly call: 'chmod'; readonly path: string; readonly mode: number }
  /** What SIGPIPE does to the driver: it ends it, or nothing (as Node has it). */
  | { readonly call: 'sigpipe'; readonly action: 'default' | 'ignore' }
  | { readonly call: 'fcntl'; readonly fd: number; readonly command: number; readonly argument: number }
  /** A byte-range lock of the whole file: F_SETLK with F_WRLCK. */
  | { readonly call: 'setlk'; readonly fd: number }
  | { readonly call: 'ioctl'; readonly fd: number; readonly request: number; readonly argument: number }
  /** An ioctl with an argument of 64 bits; `text` is its decimal value afterwards. */
  | { readonly call: 'ioctl64'; readonly fd: number; readonly request: number }
  /** dup(2). */
  | { readonly call: 'dup'; readonly fd: number }
  | {
      readonly call: 'poll';
      readonly fds: readonly { readonly fd: number; readonly events: number }[];
      readonly timeoutMs: number;
    }
  | {
      readonly call: 'select';
      readonly reads: readonly number[];
      readonly writes: readonly number[];
      readonly timeoutMs: number;
    }
  | { readonly call: 'epollCreate' }
  | { readonly call: 'epollAdd'; readonly epfd: number; readonly fd: number; readonly events: number }
  | { readonly call: 'epollWait'; readonly epfd: number; readonly timeoutMs: number }
  /** Writes a byte, looks with an epoll_wait that does not wait, and reads it, so many times; the number of misses. */
  | {
      readonly call: 'epollRace';
      readonly epfd: number;
      readonly reader: number;
      readonly writer: number;
      readonly rounds: number;
    }
  | { readonly call: 'sendfile'; readonly to: number; readonly from: number; readonly count: number }
  /** RENAME_NOREPLACE is 1, RENAME_EXCHANGE 2. */
  | { readonly call: 'renameat2'; readonly from: string; readonly to: string; readonly flags: number }
  /** Opens for writing, closes, and looks with a non-blocking read on `fd`, so many times; the number of misses. */
  | { readonly call: 'closeRace'; readonly path: string; readonly fd: number; readonly rounds: number }
  | MemoryCall;

/** Calls on mappings, which the driver numbers from 0 on. */
export type MemoryCall =
  /** A shared mapping of the whole pages that `length` bytes are in; the result is its number. */
  | { readonly call: 'mmap'; readonly fd: number; readonly length: number; readonly protection: number }
  | { readonly call: 'munmap'; readonly mapping: number }
  /** Unmaps the last `count` bytes of a mapping, whole pages. */
  | { readonly call: 'munmapEnd'; readonly mapping: number; readonly count: number }
  /** fork(2): the child has all that the driver has, and only waits to be killed. The result is its process. */
  | { readonly call: 'fork' }
  | { readonly call: 'mprotect'; readonly mapping: number; readonly protection: number }
  /** Loads and stores, without a system call. Bytes are one character each. */
  | { readonly call: 'peek'; readonly mapping: number; readonly offset: number; readonly count: number }
  | { readonly call: 'poke'; readonly mapping: number; readonly offset: number; readonly text: string }
  /** Stores `byte` everywhere. */
  | { readonly call: 'fill'; readonly mapping: number; readonly byte: number }
  /** How many bytes of the mapping are not `byte`. */
  | { readonly call: 'countOther'; readonly mapping: number; readonly byte: number }
  /** Looks at the 32-bit word at `offset` in a loop until it is `word`; the result is 0 when it never was. */
  | {
      readonly call: 'awaitWord';
      readonly mapping: number;
      readonly offset: number;
      readonly word: number;
      readonly timeoutMs: number;
    }
  /**
   * Takes turns with another process through the first word of a mapping: each stores the next number when it has seen its own.
   * The result is the number of turns that this side had.
   */
  | {
      readonly call: 'pingPong';
      readonly mapping: number;
      readonly isFirst: boolean;
      readonly turns: number;
      readonly timeoutMs: number;
    };

export interface DriverResult {
  /** What the call returned, or a negative errno. */
  readonly result: number;
  /** Bytes that were read, one character each. */
  readonly text?: string;
  /** poll: revents in order; select: ready descriptors; epoll: pairs of descriptor and events, flat. */
  readonly events?: number[];
  /** ioctl: the int afterwards; readPattern: wrong bytes. */
  readonly value?: number;
  readonly stat?: {
    mode: number;
    size: number;
    ino: number;
    nlink: number;
    mtimeMs: number;
    atimeMs: number;
    ctimeMs: number;
  };
  /** How long the call took, in milliseconds. */
  readonly elapsedMs: number;
}

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const PROT_READ = 1;
export const PROT_READ_WRITE = 3;
export const F_GETFL = 3;
export const F_SETFL = 4;

/** poll and epoll bits of Linux. */
export const LINUX_POLLIN = 0x1;
export const LINUX_POLLOUT = 0x4;
export const LINUX_POLLHUP = 0x10;
export const LINUX_POLLRDNORM = 0x40;
export const LINUX_POLLWRNORM = 0x100;
export const LINUX_POLLRDHUP = 0x2000;
export const EPOLLET = 0x8000_0000;

/** Linux's own, which it answers itself for a regular file. */
export const LINUX_FIONREAD = 0x541b;

/** BSD ioctls as Linux encodes them. */
export const FIONREAD = 0x8004667f;
export const FIOASYNC = 0x4004667d;
export const FIOSETOWN = 0x4004667c;
export const FIOGETOWN = 0x8004667b;
export const TIOCSPGRP = 0x40047476;
export const TIOCGPGRP = 0x80047477;
