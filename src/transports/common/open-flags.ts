import { type File, FNONBLOCK, FREAD, FWRITE } from '../../kern/file.ts';

/** Flags of open(2) in Linux's numbers. A transport on another host translates at its edge. */
export const LINUX_O_ACCMODE = 0o3;
export const LINUX_O_WRONLY = 0o1;
export const LINUX_O_RDWR = 0o2;
export const LINUX_O_EXCL = 0o200;
export const LINUX_O_TRUNC = 0o1000;
export const LINUX_O_APPEND = 0o2000;
export const LINUX_O_NONBLOCK = 0o4000;
/** Set by the kernel when a file is opened to be executed. */
export const LINUX_FMODE_EXEC = 0x20;

/** Flags of an open file, from those of open(2). A file opened for execution has neither direction. */
export function fileFlags(linuxFlags: number): number {
  if ((linuxFlags & LINUX_FMODE_EXEC) !== 0) return 0;
  const access = linuxFlags & LINUX_O_ACCMODE;
  let flags = (linuxFlags & LINUX_O_NONBLOCK) !== 0 ? FNONBLOCK : 0;
  if (access === LINUX_O_RDWR) flags |= FREAD | FWRITE;
  else if (access === LINUX_O_WRONLY) flags |= FWRITE;
  else if (access === 0) flags |= FREAD;
  return flags;
}

/** fcntl(F_SETFL) reaches the server with the next request that carries the flags. */
export function followFlags(file: File, linuxFlags: number): void {
  if ((linuxFlags & LINUX_O_NONBLOCK) !== 0) file.flags |= FNONBLOCK;
  else file.flags &= ~FNONBLOCK;
}
