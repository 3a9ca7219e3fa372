import { spawnSync } from 'node:child_process';
import { findProgram } from '../../host/find-program.ts';
import { cannotGainPrivileges } from '../../host/linux/processes/capabilities.ts';

/**
 * What comes before a command for a user and a mount namespace of its own: the caller keeps their user and group, may mount in there, and
 * a server inherits that through exec.
 */
export const NAMESPACE_COMMAND = ['unshare', '--user', '--mount', '--map-current-user', '--keep-caps', '--'];

/** Whether a set-user-id program may mount for this user. */
export function hasHelper(): boolean {
  return !cannotGainPrivileges() && (findProgram('fusermount3') ?? findProgram('fusermount')) !== null;
}

const PROBE_TIMEOUT_MS = 10_000;

/** Why no user namespace can be created here, in the words of unshare(1); null when one can. */
export function namespaceRefusal(): string | null {
  const [program, ...options] = NAMESPACE_COMMAND as [string, ...string[]];
  const { error, status, stderr } = spawnSync(program, [...options, 'true'], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: PROBE_TIMEOUT_MS,
  });
  if (error !== undefined) return 'unshare, of util-linux, is not installed';
  return status === 0 ? null : stderr.trim().split('\n')[0]!;
}
