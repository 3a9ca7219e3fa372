import { join } from 'node:path';
import { MountFailure } from '../transport.ts';
import { hasMethods } from './binding.ts';
import { FileOperations } from './file-operations.ts';
import { legacyOperations, legacyOptions } from './legacy.ts';
import type { Dialect, MountContext, Mounts } from './dialect.ts';
import { metered } from './metered.ts';
import { ready } from './ready.ts';
import { SegmentMount } from './segment-mount.ts';
import { OuterView, SegmentView } from './tree-view.ts';

/**
 * Two mounts: one whose files all go to the server, which pipes and kqueues need, and in it one for shm/ whose files all go through the page
 * cache, as they must to be mapped.
 */
async function mount(context: MountContext): Promise<Mounts> {
  const { fuse: Fuse, server, platform, options, complain } = context;
  const { fileSystem } = server;
  const outer = new FileOperations(server, new OuterView(fileSystem), { isCached: false });
  const outerMount = new Fuse(
    options.directory,
    legacyOperations(metered(outer, fileSystem), complain),
    legacyOptions('direct', platform.mountOptions),
  );
  try {
    await ready(outerMount);
  } catch (error) {
    throw new MountFailure(
      `mounting on ${options.directory} failed (${(error as Error).message}): run 'ipcfs doctor'`,
    );
  }
  const directory = join(options.directory, 'shm');
  const target = new FileOperations(server, new SegmentView(fileSystem), { isCached: true });
  let segments: SegmentMount;
  try {
    segments = await SegmentMount.start(metered(target, fileSystem), complain, {
      directory,
      module: options.fuseModule,
      mountKind: 'cached',
      options: platform.mountOptions,
    });
  } catch (error) {
    await platform.unmount(options.directory);
    throw new MountFailure(
      `mounting on ${directory} failed (${(error as Error).message}): run 'ipcfs doctor'`,
    );
  }
  return {
    directories: [directory, options.directory],
    lost: segments.ended,
    close: () => {
      segments.stop();
    },
  };
}

/** The API of the package `fuse-native` 2, and of those that have kept it: libfuse 2. */
export const LEGACY: Dialect = {
  capabilities: {
    poll: false,
    interrupt: false,
    ioctl: false,
    callerUser: false,
    callerProcess: false,
    perOpenDirectIo: false,
    passthrough: false,
    sigpipe: false,
    mkfifo: true,
    createInOneStep: false,
    statusFlags: false,
    streams: false,
    independentOpens: false,
    removeWhileBlocked: false,
    orderedClose: false,
    renameFlags: false,
    separateTimes: false,
    anyName: false,
  },
  waitingCallLimit: Infinity,
  isSpokenBy: (fuse) => hasMethods(fuse, ['mount', 'unmount']) && fuse.validateOptions === undefined,
  mount,
};
