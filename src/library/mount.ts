import { realpath, stat } from 'node:fs/promises';
import { Kernel } from '../kern/kernel.ts';
import { ENOTDIR } from '../kern/errno.ts';
import { packageVersion } from '../host/package.ts';
import { PortableHost } from '../host/portable-host.ts';
import { DEFAULT_MODULE } from '../transports/fuse-native/binding.ts';
import { mountFileSystem } from '../transports/choose-transport.ts';
import { MountFailure } from '../transports/common/transport.ts';
import { FileSystem } from '../tree/file-system.ts';
import { IpcError } from './error.ts';

export { MountFailure };

export interface MountSettings {
  /** An existing directory. */
  readonly directory: string;
  /** Lets other users in: so for root unless it is false, and for nobody else unless it is true. */
  readonly allowOther?: boolean;
  /** Lets nobody execute what is in the mount. */
  readonly noExec?: boolean;
  /** How long the serving thread looks for the next request before it sleeps, in milliseconds; 0.05 when it is not given. */
  readonly spinMs?: number;
  /** How segments are mapped: their memory itself, or cached pages; `auto` takes the first that works. */
  readonly shmBacking?: 'auto' | 'passthrough' | 'cached';
  /** Whether requests come through an io_uring: where the kernel offers it, always, or never; `off` when it is not given. */
  readonly ioUring?: 'auto' | 'on' | 'off';
  /** Tunables by name, also those that are fixed afterwards. */
  readonly sysctls?: Readonly<Record<string, number>>;
}

/** A mount that answers. It keeps the program alive until it has ended. */
export interface Mount {
  /** Absolute, without links. */
  readonly directory: string;
  /** Settles when the mount has ended, however it came about; rejects when its server failed. */
  readonly ended: Promise<void>;
  /** Unmounts, and waits until calls that were blocked in it are answered and the directory is free. */
  unmount(): Promise<void>;
}

const DEFAULT_SPIN_MS = 0.05;

/**
 * Mounts, and serves the mount from a thread of its own, so that this program may use it, by asynchronous calls. Fails with Node's error
 * for the directory (ENOENT, ENOTDIR, EACCES), an IpcError (sysctl) for a tunable that does not fit, or a MountFailure, whose
 * message says what to do; then nothing is left behind. A program that exits unmounts; one that a signal ends leaves a dead mount,
 * which the next mount or `ipcfs umount` removes.
 */
export async function mount(settings: MountSettings): Promise<Mount> {
  const sysctls = Object.entries(settings.sysctls ?? {});
  checkSysctls(sysctls);
  const directory = await realpath(settings.directory);
  if (!(await stat(directory)).isDirectory()) throw new IpcError(-ENOTDIR, 'mount', directory);
  const mounted = await mountFileSystem({
    directory,
    transport: 'raw',
    fuseModule: DEFAULT_MODULE,
    allowOther: settings.allowOther ?? process.getuid!() === 0,
    noExec: settings.noExec ?? false,
    version: packageVersion(),
    spinMs: settings.spinMs ?? DEFAULT_SPIN_MS,
    shmBacking: settings.shmBacking ?? 'auto',
    ioUring: settings.ioUring ?? 'off',
    sysctls,
  });
  const onExit = (): void => {
    mounted.stop();
  };
  process.once('exit', onExit);
  const ended = mounted.ended.finally(() => {
    process.removeListener('exit', onExit);
  });
  // A program that does not await it is not ended by it.
  ended.catch(() => undefined);
  return {
    directory,
    ended,
    unmount: async () => {
      mounted.stop();
      await ended;
    },
  };
}

/** Tries settings on a tree that nobody mounts: the serving thread takes them as they are. */
function checkSysctls(sysctls: readonly (readonly [name: string, value: number])[]): void {
  const kernel = new Kernel(new PortableHost());
  new FileSystem(kernel, { identity: { uid: 0, gid: 0, version: '', pid: 0 } });
  for (const [name, value] of sysctls) {
    const error = kernel.sysctls.preset(name, value);
    if (error !== 0) throw new IpcError(error, 'sysctl', `${name}=${value}`);
  }
}
