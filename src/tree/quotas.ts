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
    description: 'maximum names of a user in pipes, pairs and kqueues; beyond it EDQUOT',
    fallback: 262_144,
  },
  pipes: { description: 'maximum named pipes and pairs of a user; beyond it EDQUOT', fallback: 65_536 },
  pipe_bytes: {
    description:
      "maximum buffer memory of a user's pipes in bytes; beyond it ENOMEM, and buffers do not grow",
    type: 'bytes',
    fallback: 'kern.ipc.maxpipekva',
  },
  open_files: { description: 'maximum open files of a user; beyond it EMFILE', fallback: 262_144 },
  held_bytes: {
    description:
      "bytes that a user's tables, lists, answers, link targets and texts of registrations may take; then ENOMEM",
    type: 'bytes',
    fallback: 64 * MEBIBYTE,
  },
  kqueues: { description: 'maximum kqueues of a user; beyond it ENOMEM', fallback: 16_384 },
  knotes: { description: 'maximum registrations of a user; beyond it ENOMEM', fallback: 65_536 },
  timers: {
    description: 'maximum armed timers of a user; beyond it ENOMEM',
    fallback: 'kern.kq_calloutmax',
  },
  segments: { description: 'maximum segments of a user; beyond it ENOSPC', fallback: 'kern.ipc.shmmni' },
  segment_bytes: {
    description: "maximum memory of a user's segments in bytes; beyond it ENOMEM",
    type: 'bytes',
    fallback: 'kern.ipc.shmmaxpgs',
  },
  blocked_calls: { description: 'maximum blocked calls of a user; beyond it EAGAIN', fallback: 16_384 },
  locks: { description: 'maximum locks of a user by flock and fcntl; beyond it ENOLCK', fallback: 4096 },
  blocked_bytes: {
    description:
      "bytes of a user's blocked writes that the server does not keep and Linux sends again; then EAGAIN",
    type: 'bytes',
    fallback: 256 * MEBIBYTE,
  },
  foreign_files: {
    description: 'maximum descriptors and files outside of the mount that a user watches; beyond it ENOMEM',
    fallback: 8192,
  },
  faults: { description: 'maximum faults of a user through ctl; beyond it EDQUOT', fallback: 32 },
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
