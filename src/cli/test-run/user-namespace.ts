import { define, fcntl } from '../../host/linux/libc.ts';
import { CommandFailure } from '../failures.ts';
import { MAIN } from '../mount/start-server.ts';
import type { SysctlSetting } from '../mount/sysctl-setting.ts';
import type { FaultLine } from './fault-file.ts';
import { NAMESPACE_COMMAND, namespaceRefusal } from './mount-rights.ts';

/** What the files of a run's options say. They may be pipes, which can be read once. */
export interface RunFiles {
  readonly settings: readonly SysctlSetting[];
  readonly faults: readonly FaultLine[];
}

/** Set for a run that has entered a namespace: its RunFiles as JSON. */
const NAMESPACE_VARIABLE = 'IPCFS_RUN_FILES';

const [UNSHARE, ...NAMESPACE_OPTIONS] = NAMESPACE_COMMAND as [string, ...string[]];

const execvp = define('int execvp(const char*, const char**)') as (
  file: string,
  args: readonly (string | null)[],
) => number;

const F_SETFD = 2;
const STANDARD_DESCRIPTORS = [0, 1, 2];

/** What a run has read before it entered its namespaces; null for any other. */
export function filesFromOutside(): RunFiles | null {
  const text = process.env[NAMESPACE_VARIABLE];
  // Runs that the command makes are not in namespaces of their own.
  Reflect.deleteProperty(process.env, NAMESPACE_VARIABLE);
  return text === undefined ? null : (JSON.parse(text) as RunFiles);
}

/**
 * Starts this program again in this process, in a user and a mount namespace of its own: Linux makes those for a process of one thread
 * only, which Node's is not. `reason`: why the mount could not be made without. Fails where the system has no such namespaces.
 */
export function enterNamespaces(files: RunFiles, reason: string): never {
  const refusal = namespaceRefusal();
  if (refusal === null) {
    process.env[NAMESPACE_VARIABLE] = JSON.stringify(files);
    const program = [process.execPath, ...process.execArgv, MAIN, ...process.argv.slice(2)];
    // Node has all descriptors closed by an exec.
    for (const descriptor of STANDARD_DESCRIPTORS) fcntl(descriptor, F_SETFD, 0);
    execvp(UNSHARE, [UNSHARE, ...NAMESPACE_OPTIONS, ...program, null]);
  }
  throw new CommandFailure(
    `${reason}; nor can a user namespace be made (${refusal}): run as root, install fuse3, or start the container with --cap-add SYS_ADMIN`,
  );
}
