import { type Accounts, type Resource, resources } from '../kern/accounting.ts';
import type { SysctlRegistry, SysctlType } from '../kern/sysctl.ts';

const MEBIBYTE = 1024 ** 2;

/** Of what all share, the part that one user may have before somebody sets a quota. */
const SHARE = 1 / 2;

/** What the quota of a resource is about. */
interface Quota {
  readonly description: string;
  readonly type?: SysctlType;
  /** The limit as long as nobody has set one: a number, or the tunable that limits all users together. */
  readonly fallback: number | string;
}

/** The quotas, and the errno of a user who has reached each. */
const quotas: Readonly<Record<(typeof resources)[number], Quota>> = {
  names: {
    description: 'names that a user may have made in pipes, pairs and kqueues; then EDQUOT',
    fallback: 262_144,
  },
  pipes: { description: 'named pipes and pairs that a user may have made; then EDQUOT', fallback: 65_536 },
  pipe_bytes: {
    description: "bytes that the buffers of a user's pipes may use; then ENOMEM, and buffers do not grow",
    type: 'bytes',
    fallback: 'kern.ipc.maxpipekva',
  },
  open_files: { description: 'files that a user may have open; then EMFILE', fallback: 262_144 },
  held_bytes: {
    description:
      "bytes that a user's tables, lists, answers, link targets and texts of registrations may take; then ENOMEM",
    type: 'bytes',
    fallback: 64 * MEBIBYTE,
  },
  kqueues: { description: 'kqueues that a user may have made; then ENOMEM', fallback: 16_384 },
  knotes: { description: 'registrations that a user may have made; then ENOMEM', fallback: 65_536 },
  timers: {
    description: 'timers that a user may have armed; then ENOMEM',
    fallback: 'kern.kq_calloutmax',
  },
  segments: { description: 'segments that a user may have made; then ENOSPC', fallback: 'kern.ipc.shmmni' },
  segment_bytes: {
    description: "bytes that a user's segments may have; then ENOMEM",
    type: 'bytes',
    fallback: 'kern.ipc.shmmaxpgs',
  },
  blocked_calls: { description: 'calls of a user that may be blocked; then EAGAIN', fallback: 16_384 },
  locks: { description: 'locks that a user may hold by flock and fcntl; then ENOLCK', fallback: 4096 },
  blocked_bytes: {
    description:
      "bytes of a user's blocked writes that the server does not keep and Linux sends again; then EAGAIN",
    type: 'bytes',
    fallback: 256 * MEBIBYTE,
  },
  foreign_files: {
    description: 'descriptors and files outside of the mount that a user may watch; then ENOMEM',
    fallback: 8192,
  },
  faults: { description: 'faults that a user may have added through ctl; then EDQUOT', fallback: 32 },
};

const PAGE_SIZE_BYTES = 4096;

/** What the tunable allows all users together, in the unit of the quota. */
function sharedLimit(sysctls: SysctlRegistry, name: string): number {
  const variable = sysctls.get(name)!;
  return variable.type === 'pages' ? variable.get() * PAGE_SIZE_BYTES : variable.get();
}

/**
 * Registers the tunables ipcfs.quota.NAME, and has the accounts keep to them. Where all users share a limit, one user may have half of
 * it by default, whatever it is then. The subsystems have registered their tunables before.
 */
export function registerQuotas(accounts: Accounts, sysctls: SysctlRegistry): void {
  for (const [resource, name] of resources.entries()) {
    const { description, type = 'count', fallback } = quotas[name];
    let limit = typeof fallback === 'number' ? fallback : null;
    const get = (): number =>
      limit ?? Math.max(1, Math.floor(sharedLimit(sysctls, fallback as string) * SHARE));
    accounts.setLimit(resource as Resource, get);
    sysctls.register({
      name: `ipcfs.quota.${name}`,
      description,
      type,
      get,
      set: (value) => {
        limit = value;
        accounts.limitChanged(resource as Resource);
        return 0;
      },
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
    });
  }
}
