import { join } from 'node:path';
import { makeSegmentDirectory, removeSegmentDirectory } from '../common/segment-mounts.ts';
import { MountFailure } from '../common/transport.ts';
import { hasMethods } from './binding.ts';
import { FileOperations } from './file-operations.ts';
import { legacyOperations, legacyOptions } from './legacy.ts';
import type { Dialect, MountContext, Mounts } from './dialect.ts';
import { metered } from './metered.ts';
import { mountingFailed, ready } from './ready.ts';
import { SegmentMount } from './segment-mount.ts';
import { OuterView, SegmentView } from './tree-view.ts';

const LONGEST_PATH_BYTES = 1023;

/** Where the mount for segments is, and how it and the outer one lead to each other. */
interface SegmentPlace {
  readonly directory: string;
  /** What shm/ of the outer mount links to; null when the other lies on it. */
  readonly link: string | null;
  /** The outer mount's root, from the other's. */
  readonly outer: string;
}

/**
 * Within the outer mount, or in a directory of its own: the helper that mounts for a user is root, whom the kernel does not let into that
 * user's mount.
 */
function segmentPlace(directory: string, canNest: boolean): SegmentPlace {
  if (canNest) return { directory: join(directory, 'shm'), link: null, outer: '..' };
  const own = makeSegmentDirectory(directory);
  return { directory: own, link: own, outer: directory };
}

/**
 * Two mounts: one whose files all go to the server, which pipes and kqueues need, and one for shm/ whose files all go through the page
 * cache, as they must to be mapped.
 */
async function mount(context: MountContext): Promise<Mounts> {
  const { fuse: Fuse, server, platform, options, complain } = context;
  const { fileSystem } = server;
  checkLength(options.directory);
  const place = segmentPlace(options.directory, platform.canNestMounts);
  const { directory } = place;
  const removePlace = (): void => {
    if (place.link !== null) removeSegmentDirectory(directory);
  };
  const mountOptions = [...platform.mountOptions, ...(options.noExec === true ? ['noexec'] : [])];
  const outer = new FileOperations(server, new OuterView(fileSystem, place.link), {
    isCached: false,
    isSeekable: true,
  });
  const operations = metered(outer, server);
  const outerMount = new Fuse(
    options.directory,
    legacyOperations(operations, complain, operations),
    legacyOptions('direct', mountOptions),
  );
  try {
    await ready(outerMount);
  } catch (error) {
    removePlace();
    throw mountingFailed(options, options.directory, error as Error);
  }
  const target = new FileOperations(server, new SegmentView(fileSystem, place.outer), {
    isCached: true,
    isSeekable: true,
  });
  let segments: SegmentMount;
  try {
    segments = await SegmentMount.start(metered(target, server, 'shm/'), complain, {
      directory,
      module: options.fuseModule,
      mountKind: 'cached',
      options: mountOptions,
    });
  } catch (error) {
    await platform.unmount(options.directory);
    removePlace();
    throw mountingFailed(options, directory, error as Error);
  }
  return {
    directories: [directory, options.directory],
    lost: segments.ended,
    close: () => {
      segments.stop();
      removePlace();
    },
  };
}

/** The package cuts longer paths off, and would mount on another directory. */
function checkLength(directory: string): void {
  if (Buffer.byteLength(join(directory, 'shm')) <= LONGEST_PATH_BYTES) return;
  throw new MountFailure(
    `fuse-native mounts on paths of up to ${LONGEST_PATH_BYTES - '/shm'.length} bytes: choose a directory nearer to the root`,
  );
}

/** The API of the package `fuse-native` 2, and of those that have kept it: libfuse 2. */
export const LEGACY: Dialect = {
  capabilities: {
    poll: false,
    interrupt: false,
    ioctl: false,
    manyWaits: true,
    callerUser: false,
    callerProcess: false,
    perOpenDirectIo: false,
    sameFile: false,
    inodeNumbers: true,
    passthrough: false,
    sigpipe: false,
    mkfifo: true,
    createInOneStep: false,
    statusFlags: false,
    unseekable: false,
    streams: false,
    openSizes: false,
    independentOpens: false,
    removeWhileBlocked: false,
    removeWhileOpening: false,
    orderedClose: false,
    renameFlags: false,
    separateTimes: false,
    anyName: false,
    locks: false,
    extendedAttributes: true,
  },
  waitingCallLimit: Infinity,
  isSpokenBy: (fuse) => hasMethods(fuse, ['mount', 'unmount']) && fuse.validateOptions === undefined,
  mount,
};
