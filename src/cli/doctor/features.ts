import { release } from 'node:os';
import { FileClosings } from '../../host/linux/descriptors/file-closings.ts';
import { availableEvents } from '../../host/linux/events/process-events.ts';
import { copyRights } from '../../host/linux/foreign/rights.ts';
import { IoRing } from '../../host/linux/io/io-ring.ts';
import { readText } from '../../host/linux/bounded-read.ts';
import { CAP_SYS_ADMIN, hasCapability } from '../../host/linux/processes/capabilities.ts';
import { errnoName } from '../../kern/errno.ts';
import { ringRefusal } from '../../transports/raw/ring-device/open-ring-device.ts';
import type { Finding } from './finding.ts';

/** What the first transport can do here. */
export function featureFindings(): Finding[] {
  return [segments(), ...hostEvents(), foreignDescriptors(), openFiles(), ioRing(), fuseRing()];
}

/** How segments of shared memory will be mapped, and whether their last unmapping will be heard of. */
function segments(): Finding {
  const found = (isFine: boolean, detail: string): Finding => ({
    what: 'segments',
    isFine,
    isNeeded: false,
    detail,
  });
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  const isNewEnough = major > 6 || (major === 6 && minor >= 9);
  if (!isNewEnough || !hasCapability('CapEff', CAP_SYS_ADMIN)) {
    return found(
      false,
      'mapped through the page cache, slower and up to twice the memory: mount as root on Linux 6.9 or newer',
    );
  }
  const closings = FileClosings.open();
  if (typeof closings === 'number') {
    return found(
      false,
      `mapped as their memory itself, but detached at the last close (${errnoName(closings)}): raise fs.inotify.max_user_instances`,
    );
  }
  closings.close();
  return found(true, 'mapped as their memory itself, at the speed of tmpfs');
}

/** Whether kqueues can watch descriptors that are none of the mount. */
function foreignDescriptors(): Finding {
  return { what: 'other descriptors', isNeeded: false, ...copyRights() };
}

/** What kqueues can hear of processes. */
function hostEvents(): Finding[] {
  const { hearsForks, hearsSignals } = availableEvents();
  return [
    {
      what: 'process events',
      isFine: hearsForks,
      isNeeded: false,
      detail: hearsForks
        ? 'fork, exec and exit of every process'
        : 'exit only: for fork and exec mount as root, outside of containers (or on Linux 6.6 or newer)',
    },
    {
      what: 'signal events',
      isFine: hearsSignals,
      isNeeded: false,
      detail: hearsSignals
        ? 'every signal, through tracefs'
        : 'none: mount as root, outside of containers, with a kernel that has CONFIG_FTRACE',
    },
  ];
}

/** Below this, many clients use up what the server may open. */
const FEW_FILES = 4096;

/** How many files the server may have open: it raises its limit to the hard one. */
function openFiles(): Finding {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(readText('/proc/self/limits') ?? '')?.[1] ?? 'unlimited';
  const isFine = hard === 'unlimited' || Number(hard) >= FEW_FILES;
  return {
    what: 'open files',
    isFine,
    isNeeded: false,
    detail: isFine
      ? `up to ${hard}`
      : `${hard} at most: segments, watched descriptors and io_uring take some: raise the limit with 'ulimit -Hn 65536' as root`,
  };
}

/** Whether Linux lets this user have an io_uring. */
function ioRing(): Finding {
  const ring = IoRing.open(1);
  if (typeof ring !== 'number') ring.close();
  const isFine = typeof ring !== 'number';
  return {
    what: 'io_uring',
    isFine,
    isNeeded: false,
    detail: isFine
      ? 'large answers are copied by threads of the kernel'
      : `not offered here (${errnoName(ring)}), so bulk transfers are slower: 'sysctl kernel.io_uring_disabled=0' as root; a container's seccomp filter may forbid it too`,
  };
}

const RING_PARAMETER = '/sys/module/fuse/parameters/enable_uring';

/** Whether requests can come through an io_uring. */
function fuseRing(): Finding {
  const found = (isFine: boolean, detail: string): Finding => ({
    what: 'FUSE over io_uring',
    isFine,
    isNeeded: false,
    detail,
  });
  const parameter = (readText(RING_PARAMETER) ?? '').trim();
  if (parameter === '') return found(false, 'this kernel does not have it: it came with Linux 6.14');
  const refusal = ringRefusal();
  if (refusal !== null) return found(false, refusal);
  return parameter === 'Y' || parameter === '1'
    ? found(true, "offered by the kernel: 'ipcfs mount --io-uring on' uses it")
    : found(
        false,
        `off: 'echo 1 > ${RING_PARAMETER}' as root turns it on, for mounts that are made afterwards`,
      );
}
