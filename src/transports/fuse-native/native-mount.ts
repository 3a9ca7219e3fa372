import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import createDebug from 'debug';
import { isMountOfOurs, mountAt, mountTable } from '../../host/mounts.ts';
import { loadPlatform } from '../../host/load-platform.ts';
import type { Platform } from '../../host/platform.ts';
import type { MappingsSeen } from '../../host/linux/processes/mappings.ts';
import { EACCES, ENOENT } from '../../kern/errno.ts';
import { Kernel } from '../../kern/kernel.ts';
import type { Directory } from '../../vfs/directory.ts';
import { FileSystem } from '../../tree/file-system.ts';
import type { FindMappers, HandleFinder, Transport } from '../../vfs/transport.ts';
import { type Capabilities, capabilityRows } from '../common/capabilities.ts';
import { HandleQuery } from '../common/handle-query.ts';
import { MapperQuery } from '../common/mapper-query.ts';
import { clearMountPoint } from '../common/mount-point.ts';
import { type Mounted, MountFailure, type MountOptions } from '../common/transport.ts';
import { loadModule } from './binding.ts';
import { CallTable, complainOf } from './calls.ts';
import { capabilitiesOn, dialectOf, type MountContext, type Mounts } from './dialect.ts';
import { HandleTable } from './handles.ts';
import { segmentInodes } from './host-inodes.ts';
import { PollTimer } from './poll-timer.ts';
import type { Server } from './server.ts';

const log = createDebug('ipcfs:mount');

const SHM = 'shm';

/** How soon it is noticed that somebody else has unmounted. */
const WATCH_INTERVAL_MS = 500;
/** Until libfuse's threads have sent the last answers: nothing tells when they have. */
const LAST_ANSWERS_MS = 50;

/**
 * Mounts through a package that binds libfuse, and serves the mount from this thread: nothing here may wait for the mount. Resolves once it
 * answers; rejects with a MountFailure, and then nothing is left behind.
 */
export async function mountNative(options: MountOptions): Promise<Mounted> {
  const fuse = loadModule(options.fuseModule);
  const dialect = dialectOf(fuse, options.fuseModule);
  const platform = await loadPlatform();
  const capabilities = capabilitiesOn(platform, dialect);
  checkOptions(options, capabilities);
  await clearMountPoint(options.directory, platform);
  await checkDevice();

  const identity = { uid: process.getuid!(), gid: process.getgid!() };
  const kernel = new Kernel(platform.host);
  const settle = (): void => {
    calls.settle();
  };
  const events = platform.createProcessEvents(new PollTimer(settle));
  const memory = platform.createMemory();
  let findMappers: FindMappers | null = null;
  let findHandle: HandleFinder | null = null;
  const transport: Transport = {
    facts: () => [
      ['transport', 'fuse-native'],
      ['module', options.fuseModule],
      ['shm-backing', 'cached'],
      ...capabilityRows(capabilities),
    ],
    counters: () => [],
    // Mappings keep their files open, as everywhere but with FUSE passthrough.
    settleDetaches: () => null,
    blockedCalls: () => calls.blockedCalls(),
    tracedCall: (thread) => calls.tracedCall(thread),
    // Known once the mounts are made, which need the file system.
    get findMappers() {
      return findMappers;
    },
    // libfuse does not let a poll wait.
    findSleepers: null,
    get findHandle() {
      return findHandle;
    },
  };
  const fileSystem = new FileSystem(kernel, {
    identity: { ...identity, version: options.version, pid: process.pid },
    transport,
    memory,
    processEvents: events,
  });
  const calls = new CallTable(fileSystem, {
    limit: dialect.waitingCallLimit,
    hasSignal: capabilities.interrupt ? platform.hasSignal : null,
  });
  kernel.sysctls.preset('kern.ipc.pipe_buf', platform.pipeBufBytes);
  for (const [name, value] of options.sysctls) kernel.sysctls.preset(name, value);
  const caller = { ...identity, pid: 0 };
  const server: Server = { fileSystem, calls, handles: new HandleTable(), caller: () => caller };
  const context: MountContext = {
    fuse,
    server,
    platform,
    options,
    complain: (call, error) => {
      complainOf(kernel, call, error);
    },
  };
  const mounts = await dialect.mount(context);
  if (capabilities.callerProcess && platform.findDescriptors !== null) {
    const ask = platform.findDescriptors(mounts.directories[0]!, ({ id, handle }) => {
      handles.answer(id, handle);
      calls.settle();
    });
    const handles = new HandleQuery(kernel, ask);
    findHandle = (pid, descriptor) => handles.find(pid, descriptor);
  }
  if (platform.findMappings !== null) {
    const find = capabilities.inodeNumbers
      ? platform.findMappings
      : translated(
          platform.findMappings,
          join(options.directory, SHM),
          fileSystem.root.entries.get(SHM) as Directory,
        );
    const query = new MapperQuery(kernel, () => {
      // The innermost mount is the one that segments are mapped from.
      void find(mounts.directories[0]!)
        .catch(() => null)
        .then((seen) => {
          query.answer(seen);
          calls.settle();
        });
    });
    findMappers = () => query.ask();
  }
  return supervise(mounts, calls, platform);
}

/** `find` with the tree's inode numbers in the place of the host's. */
function translated(
  find: (directory: string) => Promise<MappingsSeen | null>,
  directory: string,
  shm: Directory,
): (directory: string) => Promise<MappingsSeen | null> {
  return async (mounted) => {
    const seen = await find(mounted);
    if (seen === null || seen.mappings.length === 0) return seen;
    const inodes = await segmentInodes(directory, shm);
    const mappings = seen.mappings.flatMap(([inode, pid, rangeCount]) => {
      const own = inodes.get(inode);
      return own === undefined ? [] : [[own, pid, rangeCount] as const];
    });
    return { ...seen, mappings };
  };
}

function checkOptions(options: MountOptions, capabilities: Capabilities): void {
  if (options.allowOther && !capabilities.callerUser) {
    throw new MountFailure(
      `--allow-other needs to know who calls, which ${options.fuseModule} does not tell: use --transport raw`,
    );
  }
  if (options.ioUring === 'on')
    throw new MountFailure('--io-uring on needs --transport raw: use auto, or off');
  if (options.shmBacking === 'passthrough' && !capabilities.passthrough) {
    throw new MountFailure('--shm-backing passthrough needs --transport raw: use auto, or cached');
  }
}

/** libfuse would say it in words of its own. */
async function checkDevice(): Promise<void> {
  if (process.platform !== 'linux') return;
  const { deviceFailure, FUSE_DEVICE } = await import('../common/fuse-device.ts');
  try {
    accessSync(FUSE_DEVICE, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw deviceFailure((error as NodeJS.ErrnoException).code === 'ENOENT' ? -ENOENT : -EACCES);
  }
}

/** Ends the mounts when somebody asks for it, or has unmounted one of them. */
function supervise(mounts: Mounts, calls: CallTable, platform: Platform): Mounted {
  let ending: Promise<void> | null = null;
  let finish: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (finish = resolve));
  const end = async (): Promise<void> => {
    clearInterval(watch);
    calls.end();
    for (const directory of mounts.directories) {
      if (isMounted(directory) && !(await platform.unmount(directory))) log('%s stays mounted', directory);
    }
    // Of calls that came meanwhile.
    calls.end();
    await delay(LAST_ANSWERS_MS);
    mounts.close();
    finish();
  };
  const stop = (): void => {
    ending ??= end();
  };
  const watch = setInterval(() => {
    if (isAnyLost(mounts.directories)) stop();
  }, WATCH_INTERVAL_MS);
  void mounts.lost.then(stop);
  return { ended, stop };
}

function isMounted(directory: string, table = mountTable()): boolean {
  const entry = mountAt(directory, table);
  return entry !== null && isMountOfOurs(entry);
}

/** A table that cannot be read says nothing. */
function isAnyLost(directories: readonly string[]): boolean {
  try {
    const table = mountTable();
    return directories.some((directory) => !isMounted(directory, table));
  } catch (error) {
    log('mounts could not be looked at: %o', error);
    return false;
  }
}
