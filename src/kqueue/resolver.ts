import type { Credentials } from '../kern/credentials.ts';
import type { File } from '../kern/file.ts';
import type { Kqueue } from './kqueue.ts';

/** Finds what READ, WRITE, VNODE and EXCEPT watch: the tree's part of a registration. */
export interface IdentResolver {
  /**
   * The open file behind a descriptor (a number) of the caller's process, or for a path (a string) a file that stands for the
   * node without being counted among its openers. Or a negative errno: EBADF for a descriptor that is not one of this mount,
   * ENOENT and so on for a path.
   *
   * `current` is the file of the knote that a path has already: the answer is that same file while the path still names the
   * same object, and another one otherwise, which replaces the knote.
   */
  resolve(
    kqueue: Kqueue,
    ident: number | string,
    filter: number,
    credentials: Credentials,
    current: File | null,
  ): File | number;

  /** Whether this descriptor of a process leads to `file`; true where that cannot be found out. */
  isOpen(pid: number, descriptor: number, file: File): boolean;
}
