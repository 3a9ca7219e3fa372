import { readFileSync, statSync } from 'node:fs';
import { findProgram } from '../../host/find-program.ts';
import {
  CAP_SYS_ADMIN,
  cannotGainPrivileges,
  hasCapability,
} from '../../host/linux/processes/capabilities.ts';
import { namespaceRefusal } from '../test-run/mount-rights.ts';
import type { Finding } from './finding.ts';

const SET_USER_ID = 0o4000;

/** Whether and how this process may mount, and let others in. */
export function rightFindings(): Finding[] {
  const helper = findProgram('fusermount3') ?? findProgram('fusermount');
  return [rightToMount(helper), userNamespace(), mountsByUsers(helper), allowOther()];
}

/** By itself as root, or through the helper, which needs to become root. */
function rightToMount(helper: string | null): Finding {
  const found = (isFine: boolean, detail: string): Finding => ({
    what: 'right to mount',
    isFine,
    isNeeded: true,
    detail,
  });
  if (process.getuid!() === 0 && hasCapability('CapEff', CAP_SYS_ADMIN)) return found(true, 'you are root');
  if (!hasCapability('CapBnd', CAP_SYS_ADMIN)) {
    return found(false, 'CAP_SYS_ADMIN was taken away here: start the container with --cap-add SYS_ADMIN');
  }
  const problem = problemOf(helper);
  return problem === null ? found(true, `through ${helper!}`) : found(false, problem);
}

/** Why the helper cannot mount for a user; null when it can. */
function problemOf(helper: string | null): string | null {
  if (helper === null) return "run as root, or install fusermount3 ('apt-get install fuse3')";
  if (!isSetUserId(helper)) return `${helper} is not set-user-id root: 'chmod u+s ${helper}' as root`;
  return cannotGainPrivileges()
    ? `no_new_privs is set, so ${helper} cannot become root: run as root, or without no_new_privs`
    : null;
}

function isSetUserId(program: string): boolean {
  const { mode, uid } = statSync(program);
  return (mode & SET_USER_ID) !== 0 && uid === 0;
}

export const USER_NAMESPACE = 'user namespace';

function userNamespace(): Finding {
  const refusal = namespaceRefusal();
  return {
    what: USER_NAMESPACE,
    isFine: refusal === null,
    isNeeded: false,
    detail:
      refusal === null
        ? "'ipcfs run' needs no right to mount, and 'unshare -Urm' starts a shell in which you may mount"
        : `without the right to mount, 'ipcfs run' does not work either: ${refusal}`,
  };
}

function mountsByUsers(helper: string | null): Finding {
  const isFine = helper !== null && isSetUserId(helper);
  return {
    what: 'mounts by users',
    isFine,
    isNeeded: false,
    detail:
      helper === null
        ? "fusermount3 is not installed: 'apt-get install fuse3' lets users other than root mount"
        : isFine
          ? `${helper} is set-user-id root`
          : `${helper} is not set-user-id root: 'chmod u+s ${helper}' as root`,
  };
}

function allowOther(): Finding {
  const isFine = readOptional('/etc/fuse.conf').split('\n').includes('user_allow_other');
  return {
    what: '--allow-other by users',
    isFine,
    isNeeded: false,
    detail: isFine
      ? 'allowed in /etc/fuse.conf'
      : "put the line 'user_allow_other' into /etc/fuse.conf to let users share their mounts",
  };
}

function readOptional(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
