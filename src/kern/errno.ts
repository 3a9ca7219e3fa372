/**
 * Error numbers, in the numbering of Linux. Engines return them negated; a transport on another host
 * translates at its edge.
 */
export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const E2BIG = 7;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const EXDEV = 18;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ENOTTY = 25;
export const ENOSPC = 28;
export const ESPIPE = 29;
export const EROFS = 30;
export const EMLINK = 31;
export const EPIPE = 32;
export const ENAMETOOLONG = 36;
export const ENOSYS = 38;
export const ELOOP = 40;
export const ENOTEMPTY = 39;
export const EPROTO = 71;
export const EILSEQ = 84;
export const EOPNOTSUPP = 95;
export const ECONNABORTED = 103;
export const ENOBUFS = 105;
export const ENOTCONN = 107;
export const ETIMEDOUT = 110;
export const EDQUOT = 122;

const names = new Map<number, string>(
  Object.entries({
    EPERM,
    ENOENT,
    ESRCH,
    EINTR,
    EIO,
    ENXIO,
    E2BIG,
    EBADF,
    EAGAIN,
    ENOMEM,
    EACCES,
    EFAULT,
    EBUSY,
    EEXIST,
    EXDEV,
    ENODEV,
    ENOTDIR,
    EISDIR,
    EINVAL,
    ENFILE,
    EMFILE,
    ENOTTY,
    ENOSPC,
    ESPIPE,
    EROFS,
    EMLINK,
    EPIPE,
    ENAMETOOLONG,
    ENOSYS,
    ELOOP,
    ENOTEMPTY,
    EPROTO,
    EILSEQ,
    EOPNOTSUPP,
    ECONNABORTED,
    ENOBUFS,
    ENOTCONN,
    ETIMEDOUT,
    EDQUOT,
  }).map(([name, value]) => [value, name]),
);

/** The symbolic name of a positive error number, or `errno N` for one that has no name here. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}
