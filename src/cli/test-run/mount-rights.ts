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
