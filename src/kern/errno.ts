declare const sign: unique symbol;

/**
 * An error number with the sign that it has in C. It is not a `number`, but its negation is: to return one that is not negated, or to
 * compare a result with it, is a type error.
 */
export interface Errno {
  readonly [sign]: '+';
}

/** Error numbers of Linux. Results are a count, or one of these negated; a transport on another host translates at its edge. */
const errnos = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EOVERFLOW: 75,
  EILSEQ: 84,
  EOPNOTSUPP: 95,
  ECONNABORTED: 103,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  EDQUOT: 122,
  ECANCELED: 125,
};

export const {
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
  ERANGE,
  EDEADLK,
  ENAMETOOLONG,
  ENOLCK,
  ENOSYS,
  ENOTEMPTY,
  ELOOP,
  ENODATA,
  EPROTO,
  EOVERFLOW,
  EILSEQ,
  EOPNOTSUPP,
  ECONNABORTED,
  ENOBUFS,
  ENOTCONN,
  ETIMEDOUT,
  EDQUOT,
  ECANCELED,
} = errnos as unknown as Readonly<Record<keyof typeof errnos, Errno>>;

const names = new Map<number, string>(Object.entries(errnos).map(([name, errno]) => [-errno, name]));

/** The name of a negative errno, without the sign, or `errno N` for one that has no name here. */
export function errnoName(result: number): string {
  return names.get(result) ?? `errno ${-result}`;
}

/** An errno with the other sign, for formats in which it is positive. 0 stays 0, where `-` would make -0 of it. */
export function negatedErrno(errno: number): number {
  return errno === 0 ? 0 : -errno;
}
