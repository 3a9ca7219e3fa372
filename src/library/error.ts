import { errnoName } from '../kern/errno.ts';

/** A call that failed as the system call of that name would, in the shape of Node's own errors. */
export class IpcError extends Error {
  override readonly name = 'IpcError';
  /** EPIPE, EINTR and so on. */
  readonly code: string;
  /** Negative, in Linux's numbering, as in Node's errors. */
  readonly errno: number;
  /** read, write, kevent, shmat and so on. */
  readonly syscall: string;

  /** `errno` is negative; `detail` says more than the code. */
  constructor(errno: number, syscall: string, detail?: string) {
    const code = errnoName(errno);
    super(detail === undefined ? `${code}: ${syscall}` : `${code}: ${syscall}: ${detail}`);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** The result of an operation: a count or an id. A negative errno is thrown. */
export function checked(result: number, syscall: string): number {
  if (result < 0) throw new IpcError(result, syscall);
  return result;
}
