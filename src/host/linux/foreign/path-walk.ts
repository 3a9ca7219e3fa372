import { EACCES, ELOOP, ENOENT, ENOTDIR } from '../../../kern/errno.ts';
import * as libc from '../libc.ts';
import * as calls from './calls.ts';
import { type Refusal, unsupported } from './kinds.ts';
import { foreignType } from './local-mounts.ts';

/** Symbolic links that one path may lead through, as in Linux, and names that are looked up in all. */
const MOST_LINKS = 40;
const MOST_NAMES = 4096;

/** Where a path leads: an O_PATH descriptor of a local file. Or into the mount of `deviceMinor`, to a path there. */
export type WalkEnd =
  | { readonly descriptor: number; readonly status: calls.FileStatus }
  | { readonly insidePath: string }
  | Refusal;

function failed(): Refusal {
  const errno = libc.failure();
  const reasons = new Map<number, string>([
    [-ENOENT, 'there is no such file'],
    [-EACCES, 'a directory on the way may not be searched'],
    [-ENOTDIR, 'a part of the path is no directory'],
  ]);
  return { errno, reason: reasons.get(errno) ?? 'the path cannot be followed' };
}

/** One walk: a name at a time, so that nothing is asked of a file system before it is known to be local. */
class Walk {
  readonly #root: number;
  readonly #rootStatus: calls.FileStatus;
  readonly #deviceMinor: number;
  #at: number;
  #atStatus: calls.FileStatus;
  /** Names that are left, the next one last. */
  readonly #names: string[] = [];
  #links = MOST_LINKS;
  /** The mount that was found to be local last. */
  #localMount = -1;

  constructor(root: number, rootStatus: calls.FileStatus, deviceMinor: number) {
    this.#root = root;
    this.#at = root;
    this.#rootStatus = this.#atStatus = rootStatus;
    this.#deviceMinor = deviceMinor;
  }

  follow(path: string): WalkEnd {
    this.#push(path);
    const refusal = this.#checkLocal();
    if (refusal !== null) return refusal;
    for (let left = MOST_NAMES; this.#names.length > 0; left--) {
      if (left === 0) return { errno: -ELOOP, reason: 'the path has too many names' };
      const end = this.#step(this.#names.pop()!);
      if (end !== null) {
        this.#leave();
        return end;
      }
    }
    if (this.#at === this.#root) return unsupported('the root of all files is not watched');
    return { descriptor: this.#at, status: this.#atStatus };
  }

  #push(path: string): void {
    const names = path.split('/').filter((name) => name !== '' && name !== '.');
    // A name that ends in a slash is a directory's.
    this.#names.push(...names.reverse());
  }

  /** Null to go on. */
  #step(name: string): WalkEnd | null {
    if (this.#atStatus.type !== calls.S_IFDIR) {
      return { errno: -ENOTDIR, reason: 'a part of the path is no directory' };
    }
    // Nothing lies above the root that the caller sees.
    if (name === '..' && this.#isRoot()) return null;
    const next = calls.openName(this.#at, name);
    if (next < 0) return failed();
    const status = calls.statusOfDescriptor(next);
    if (status === null) {
      libc.close(next);
      return failed();
    }
    if (status.type === calls.S_IFLNK) {
      const target = calls.readLink(next);
      libc.close(next);
      if (target === null) return failed();
      if (this.#links-- === 0) return { errno: -ELOOP, reason: 'the path leads through too many links' };
      if (target.startsWith('/')) {
        this.#leave();
        this.#at = this.#root;
        this.#atStatus = this.#rootStatus;
      }
      this.#push(target);
      return null;
    }
    this.#leave();
    this.#at = next;
    this.#atStatus = status;
    return this.#checkLocal();
  }

  /** Null when what was reached is of a local file system. */
  #checkLocal(): WalkEnd | null {
    const { mountId, device } = this.#atStatus;
    if (mountId === this.#localMount) return null;
    if (device === `0:${this.#deviceMinor}`) return { insidePath: this.#names.reverse().join('/') };
    const type = foreignType(this.#atStatus);
    if (type !== null) return unsupported(`it lies in a file system that is not local (${type})`);
    this.#localMount = mountId;
    return null;
  }

  #isRoot(): boolean {
    const { inode, mountId } = this.#atStatus;
    return inode === this.#rootStatus.inode && mountId === this.#rootStatus.mountId;
  }

  #leave(): void {
    if (this.#at !== this.#root) libc.close(this.#at);
    this.#at = this.#root;
  }
}

/**
 * Follows an absolute path as a process would: from its root, in its mounts, through links. The thread has taken the rights of the process's
 * user. `deviceMinor`: of the mount that the server serves.
 */
export function walk(root: number, path: string, deviceMinor: number): WalkEnd {
  const rootStatus = calls.statusOfDescriptor(root);
  if (rootStatus === null) return failed();
  return new Walk(root, rootStatus, deviceMinor).follow(path);
}
