import type { Finished } from './process.ts';
import type { TestMount } from './mount.ts';
import type { User } from './namespace.ts';

export const alice: User = { uid: 1001, gid: 1001 };
export const bob: User = { uid: 1002, gid: 1002 };

/** A shell command that runs `script` as a user, with these supplementary groups and no others. */
export function asUser({ uid, gid }: User, script: string, groups: readonly number[] = []): string {
  const supplementary = groups.length === 0 ? '--clear-groups' : `--groups ${groups.join(',')}`;
  return `setpriv --reuid ${uid} --regid ${gid} ${supplementary} -- bash -c '${script.replaceAll("'", String.raw`'\''`)}'`;
}

/** Runs a script in the mount's root as a user with supplementary groups. */
export function runAs(
  mount: TestMount,
  user: User,
  script: string,
  groups: readonly number[] = [],
): Promise<Finished> {
  return mount.sh(asUser(user, script, groups));
}

/** What a user has of a resource, by info/users; 0 when there is no row. */
export async function usedBy(mount: TestMount, { uid }: User, resource: string): Promise<number> {
  const rows = await mount.table('users');
  return Number(rows.find((row) => row['uid'] === uid && row['resource'] === resource)?.['used'] ?? 0);
}
