import type { Credentials } from '../kern/credentials.ts';
import type { File } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import type { Kqueue } from './kqueue.ts';

/** What `IdentResolver.resolve` answers when several open files fit: no file, and no errno. */
export const UNDECIDED = -(2 ** 31);

/** What `IdentResolver.resolve` answers for an ident that is none of the mount, and may be a file of the machine: no file, and no errno. */
export const ELSEWHERE = UNDECIDED + 1;

/** Finds what READ, WRITE, VNODE and EXCEPT watch: the tree's part of a registration. */
export interface IdentResolver {
  /**
   * The open file behind a descriptor (a number) of the caller's process, or for a path (a string) a file that stands for the
   * node without being counted among its openers. Or a negative errno: EBADF for a descriptor that is not one of this mount,
   * ENOENT and so on for a path.
   *
   * `current` is the file of the knote that a path has already: the answer is that same file while the path still names the
   * same object, and another one otherwise, which replaces the knote.
   *
   * UNDECIDED for a descriptor: `decide`, and ask again at once. ELSEWHERE: nothing of the mount.
   */
  resolve(
    kqueue: Kqueue,
    ident: number | string,
    filter: number,
    credentials: Credentials,
    current: File | null,
  ): File | number;

  /** Finds out which of several files that look alike a descriptor of the caller's process is, as far as it can be found out. */
  decide(descriptor: number, credentials: Credentials): Operation<void>;

  /** Whether this descriptor of a process leads to `file`; true where that cannot be found out. */
  isOpen(pid: number, descriptor: number, file: File): boolean;
}
