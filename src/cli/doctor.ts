import { accessSync, closeSync, constants, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { FileClosings } from '../host/linux/descriptors/file-closings.ts';
import { CAP_SYS_ADMIN, hasCapability } from '../host/linux/processes/capabilities.ts';
import { findProgram } from '../host/find-program.ts';
import * as libc from '../host/linux/libc.ts';
import { copyRights } from '../host/linux/foreign/rights.ts';
import { availableEvents } from '../host/linux/events/process-events.ts';
import { loadPlatform } from '../host/load-platform.ts';
import { ENOENT, errnoName } from '../kern/errno.ts';
import { deviceFailure, FUSE_DEVICE } from '../transports/common/fuse-device.ts';
import {
  type Capabilities,
  CAPABILITY_LOSSES,
  CAPABILITY_NAMES,
  kebab,
} from '../transports/common/capabilities.ts';
import { loadModule } from '../transports/fuse-native/binding.ts';
import { EXIT_FAILURE } from './failures.ts';
import { printableLine } from './printable.ts';

/** One thing that a mount needs or profits from. */
interface Finding {
  readonly what: string;
  readonly isFine: boolean;
  /** Whether there is no mount without it. */
  readonly isNeeded: boolean;
  /** What was found, or how to get it. */
  readonly detail: string;
}

const SET_USER_ID = 0o4000;

/** `ipcfs doctor`: prints what it finds; the exit status is 0 when a mount can be made. */
export async function doctor({ fuseModule }: { fuseModule: string }): Promise<number> {
  const isLinux = process.platform === 'linux';
  const linux = isLinux ? [device(), ...rights(), ...libraryUses()] : [];
  const findings = [platform(), ...linux, ...(await binding(fuseModule))];
  for (const { what, isFine, isNeeded, detail } of findings) {
    const verdict = isFine ? 'ok     ' : isNeeded ? 'MISSING' : 'no     ';
    process.stdout.write(`${verdict} ${what.padEnd(22)} ${printableLine(detail)}\n`);
  }
  const isPossible = findings.every(({ isFine, isNeeded }) => isFine || !isNeeded);
  process.stdout.write(
    isPossible ? "You can mount: 'ipcfs mount DIR'.\n" : 'You cannot mount until what is MISSING is there.\n',
  );
  return isPossible ? 0 : EXIT_FAILURE;
}

/** What callers lose with the second transport: the first can do all of it. */
function losses(capabilities: Capabilities): Finding[] {
  return CAPABILITY_NAMES.filter((name) => !capabilities[name]).map((name) => ({
    what: `fuse-native ${kebab(name)}`,
    isFine: false,
    isNeeded: false,
    detail: CAPABILITY_LOSSES[name],
  }));
}

/** What takes calls of the C library: the first transport, and what it can do. */
function libraryUses(): Finding[] {
  if (libc.libraryFailure === null) return [segments(), ...hostEvents(), foreignDescriptors()];
  const detail = libc.libraryFailure.message;
  return [{ what: 'transport raw', isFine: false, isNeeded: false, detail }];
}

/** The package for the second transport, which is needed only where there is no other; and what it cannot do. */
async function binding(fuseModule: string): Promise<Finding[]> {
  const { capabilitiesOn, dialectOf, LEGACY } = await import('../transports/fuse-native/dialect.ts');
  const found = (isFine: boolean, detail: string): Finding => ({
    what: 'transport fuse-native',
    isFine,
    isNeeded: process.platform !== 'linux' || libc.libraryFailure !== null,
    detail,
  });
  try {
    const dialect = dialectOf(loadModule(fuseModule), fuseModule);
    const capabilities = capabilitiesOn(await loadPlatform(), dialect);
    return [found(true, `the package ${fuseModule} and its library are there`), ...losses(capabilities)];
  } catch (error) {
    return [found(false, (error as Error).message), ...losses(LEGACY.capabilities)];
  }
}

function platform(): Finding {
  return {
    what: 'system',
    isFine: ['linux', 'darwin'].includes(process.platform),
    isNeeded: true,
    detail: ['linux', 'darwin'].includes(process.platform)
      ? `${process.platform === 'linux' ? 'Linux' : 'macOS'}, Node ${process.version}`
      : `ipcfs mounts on Linux and macOS, not on ${process.platform}`,
  };
}

function device(): Finding {
  const what = FUSE_DEVICE;
  if (!existsSync(FUSE_DEVICE)) {
    return { what, isFine: false, isNeeded: true, detail: deviceFailure(-ENOENT).message };
  }
  if (process.getuid!() !== 0) {
    // The helper opens it with the rights of its user.
    return isAccessible(FUSE_DEVICE)
      ? { what, isFine: true, isNeeded: true, detail: 'there, and you may open it' }
      : {
          what,
          isFine: false,
          isNeeded: true,
          detail: `you may not open it: 'chmod 666 ${FUSE_DEVICE}' as root lets every user mount`,
        };
  }
  try {
    closeSync(openSync(FUSE_DEVICE, 'r+'));
  } catch (error) {
    const { message } = deviceFailure((error as NodeJS.ErrnoException).errno!);
    return { what, isFine: false, isNeeded: true, detail: message };
  }
  return { what, isFine: true, isNeeded: true, detail: 'there, and you may open it' };
}

/** Whether and how this process may mount: by itself as root, or through the helper, which needs to become root. */
function rightToMount(helper: string | null): Finding {
  const isRoot = process.getuid!() === 0;
  const found = (isFine: boolean, detail: string): Finding => ({
    what: 'right to mount',
    isFine,
    isNeeded: true,
    detail,
  });
  if (isRoot && hasCapability('CapEff', CAP_SYS_ADMIN)) return found(true, 'you are root');
  if (!hasCapability('CapBnd', CAP_SYS_ADMIN)) {
    return found(false, 'CAP_SYS_ADMIN was taken away here: start the container with --cap-add SYS_ADMIN');
  }
  if (helper === null) {
    return found(false, "run as root, or install fusermount3 ('apt-get install fuse3')");
  }
  return isSetUserId(helper)
    ? found(true, `through ${helper}`)
    : found(false, `${helper} is not set-user-id root: 'chmod u+s ${helper}' as root`);
}

function isSetUserId(program: string): boolean {
  return (statSync(program).mode & SET_USER_ID) !== 0;
}

function rights(): Finding[] {
  const helper = findProgram('fusermount3') ?? findProgram('fusermount');
  const allowOther = readOptional('/etc/fuse.conf').split('\n').includes('user_allow_other');
  return [
    rightToMount(helper),
    {
      what: 'mounts by users',
      isFine: helper !== null && isSetUserId(helper),
      isNeeded: false,
      detail:
        helper === null
          ? "fusermount3 is not installed: 'apt-get install fuse3' lets users other than root mount"
          : isSetUserId(helper)
            ? `${helper} is set-user-id root`
            : `${helper} is not set-user-id root: 'chmod u+s ${helper}' as root`,
    },
    {
      what: '--allow-other by users',
      isFine: allowOther,
      isNeeded: false,
      detail: allowOther
        ? 'allowed in /etc/fuse.conf'
        : "put the line 'user_allow_other' into /etc/fuse.conf if users shall let each other in",
    },
  ];
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

function isAccessible(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function readOptional(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
