import createDebug from 'debug';
import type { Credentials } from '../../kern/credentials.ts';
import { type BindingOperations, type FuseModule, type FuseMount, hasMethods } from './binding.ts';
import { performer } from './callbacks.ts';
import type { Dialect, MountContext, Mounts } from './dialect.ts';
import { FileOperations } from './file-operations.ts';
import { metered } from './metered.ts';
import { modernOperations, type RequestContext } from './modern.ts';
import { mountingFailed, ready } from './ready.ts';
import type { Server } from './server.ts';
import { SegmentNames } from './tree-view.ts';
import { Turns } from './turns.ts';

const log = createDebug('ipcfs:mount');

/** The package serves from so many threads, a fixed number of at most 64: each waits for the answer of one call. */
const THREADS = 64;
/** The others are for calls that do not wait, and for those that wait in libfuse for a path that an open has locked. */
const WAITING_CALL_LIMIT = 48;

interface ModernMount extends FuseMount {
  /** Who makes the call whose callback runs now. */
  context(): RequestContext | null;
  /** The package's own: the argument `-o...` for libfuse. */
  _fuseOptions(): string;
}

type ModernModule = new (directory: string, operations: BindingOperations, options: object) => ModernMount;

/** One mount: each open says whether it goes to the server or through the page cache. */
async function mount(context: MountContext): Promise<Mounts> {
  const { directory } = context.options;
  const Fuse = context.fuse as unknown as ModernModule;
  const { fileSystem, handles } = context.server;
  const { clock } = fileSystem.kernel.host;
  let caller: Credentials = context.server.caller();
  const server: Server = { ...context.server, caller: () => caller };
  const files = new FileOperations(server, new SegmentNames(fileSystem, fileSystem.root), {
    isCached: true,
    isSeekable: false,
  });
  const perform = performer(new Turns(), context.complain, (call) => {
    const request = fuse.context();
    return () => {
      if (request === null) return;
      caller = { uid: request.uid, gid: request.gid, pid: request.pid };
      if (request.fileInfo !== null && (call === 'read' || call === 'write'))
        handles.followFlags(request.fileInfo.fd, request.fileInfo.flags);
    };
  });
  const operations = modernOperations(metered(files, server), perform, () => clock.realtime());
  const fuse = new Fuse(directory, operations, {
    fsname: 'ipcfs',
    subtype: 'ipcfs',
    defaultPermissions: true,
    // Names and attributes change without the host's kernel being told.
    entryTimeout: 0,
    attrTimeout: 0,
    // Calls on open files then lock no path, and files that have no path any more are still found.
    nullPathOk: true,
    maxConcurrency: THREADS,
    // It would otherwise answer for us after 15 seconds.
    timeout: false,
    onError: (error: unknown, what: string) => {
      // At the end the loop of its threads is expected to stop.
      log('%s: %o', what, error);
    },
  });
  const list = [fuse._fuseOptions(), ...extraOptions(context)].join(',');
  fuse._fuseOptions = () => list;
  try {
    await ready(fuse);
  } catch (error) {
    throw mountingFailed(context.options, directory, error as Error);
  }
  return { directories: [directory], lost: new Promise(() => undefined), close: () => undefined };
}

/** What libfuse takes and the package has no names for. */
function extraOptions({ options, platform }: MountContext): string[] {
  const isLettingIn = options.allowOther || process.getuid!() === 0;
  return [
    // The package's own option wants a line in /etc/fuse.conf from root too.
    ...(isLettingIn ? ['allow_other'] : []),
    ...(options.noExec === true ? ['noexec'] : []),
    ...platform.mountOptions,
  ];
}

/** The API of the package `fuse-napi` 2: libfuse 3. */
export const MODERN: Dialect = {
  capabilities: {
    poll: true,
    interrupt: true,
    ioctl: true,
    manyWaits: false,
    callerUser: true,
    callerProcess: true,
    perOpenDirectIo: true,
    sameFile: false,
    inodeNumbers: false,
    passthrough: false,
    sigpipe: true,
    mkfifo: true,
    createInOneStep: true,
    statusFlags: true,
    unseekable: true,
    streams: false,
    openSizes: false,
    independentOpens: false,
    removeWhileBlocked: true,
    removeWhileOpening: false,
    orderedClose: false,
    renameFlags: true,
    separateTimes: true,
    anyName: false,
    locks: false,
    extendedAttributes: false,
  },
  waitingCallLimit: WAITING_CALL_LIMIT,
  isSpokenBy: (fuse: FuseModule) =>
    hasMethods(fuse, ['mount', 'unmount', 'context', '_fuseOptions']) && fuse.validateOptions !== undefined,
  mount,
};
