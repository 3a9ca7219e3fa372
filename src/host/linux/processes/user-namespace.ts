import { readText } from '../bounded-read.ts';

/** User and group. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Whether a map of this process's user namespace (`uid_map`, `gid_map`) has `id`: lines of a first id, an outer id, and a count. */
export function hasId(map: string, id: number): boolean {
  return map.split('\n').some((line) => {
    const [first, , count] = line.trim().split(/\s+/).map(Number);
    return count !== undefined && first! <= id && id < first! + count;
  });
}

/** Who owns files of root: root, and in a user namespace that does not know root this process's user and group. */
export function ownerForRoot(): Owner {
  // A system without namespaces knows everybody.
  const isKnown = (file: string): boolean => hasId(readText(`/proc/self/${file}`) ?? '0 0 1', 0);
  return {
    uid: isKnown('uid_map') ? 0 : process.getuid!(),
    gid: isKnown('gid_map') ? 0 : process.getgid!(),
  };
}
