import { type Account, type Accounts, type Resource, resources } from '../../kern/accounting.ts';
import { type Column, NO_ROW, type Table } from '../../vfs/table.ts';

/** One of the things that an account counts. */
interface UserRow {
  readonly account: Account;
  readonly resource: Resource;
  /** Infinity for a user without quotas. */
  readonly quota: number;
}

export const usersColumns = [
  { name: 'uid', description: 'user', value: ({ account }) => account.uid },
  {
    name: 'resource',
    description: 'name of the quota: the tunable is `ipcfs.quota.NAME`',
    value: ({ resource }) => resources[resource],
  },
  {
    name: 'used',
    description: 'use of this user',
    value: ({ account, resource }) => account.used(resource),
  },
  {
    name: 'quota',
    description: 'quota of this user, `-` without limit',
    value: ({ quota }) => (quota === Infinity ? '-' : quota),
  },
  {
    name: 'refused',
    description: 'number of refused requests',
    value: ({ account, resource }) => account.refused(resource),
  },
] as const satisfies readonly Column<UserRow>[];

/** info/users: what each user has of everything that there is a quota for, and number of refused requests. */
export function usersTable(accounts: Accounts): Table<UserRow> {
  return {
    name: 'users',
    columns: usersColumns,
    *rows() {
      for (const account of accounts.all()) {
        const isExempt = accounts.isExempt(account.uid);
        for (const index of resources.keys()) {
          const resource = index as Resource;
          if (account.used(resource) === 0 && account.refused(resource) === 0) continue;
          yield { account, resource, quota: isExempt ? Infinity : accounts.limitOf(resource) };
        }
        yield NO_ROW;
      }
    },
  };
}
