import { readText } from '../bounded-read.ts';
import * as libc from '../libc.ts';
import { CAP_SYS_PTRACE, hasCapability } from '../processes/capabilities.ts';

/** Whether a server that this process starts could watch descriptors outside of the mount, and whose. */
export interface CopyRights {
  readonly isFine: boolean;
  /** For people: what works, or what is missing. */
  readonly detail: string;
}

function canCopyOwn(): boolean {
  const pidfd = libc.pidfdOpen(process.pid);
  if (pidfd < 0) return false;
  const copy = libc.pidfdGetDescriptor(pidfd, pidfd);
  if (copy >= 0) libc.close(copy);
  libc.close(pidfd);
  return copy >= 0;
}

/** Found out by trying, and from what Linux says of tracing. */
export function copyRights(): CopyRights {
  if (!canCopyOwn()) {
    return {
      isFine: false,
      detail:
        'not watched: pidfd_getfd is missing here (Linux 5.6) or forbidden: start the container with --cap-add SYS_PTRACE',
    };
  }
  if (hasCapability('CapEff', CAP_SYS_PTRACE)) {
    return { isFine: true, detail: 'sockets, pipes, terminals and files of every program' };
  }
  if (process.getuid!() === 0) {
    return {
      isFine: false,
      detail: 'not watched: CAP_SYS_PTRACE was taken away: start the container with --cap-add SYS_PTRACE',
    };
  }
  switch (readText('/proc/sys/kernel/yama/ptrace_scope')?.trim() ?? '0') {
    case '0':
      return { isFine: true, detail: 'sockets, pipes, terminals and files of your programs' };
    case '1':
      return {
        isFine: false,
        detail:
          'files only; sockets, pipes and terminals of programs that call prctl(PR_SET_PTRACER), and of all with ' +
          "'sysctl kernel.yama.ptrace_scope=0' as root",
      };
    default:
      return {
        isFine: false,
        detail: "files only: 'sysctl kernel.yama.ptrace_scope=1' as root, or mount as root",
      };
  }
}
