import createDebug from 'debug';
import { type Mounted, MountFailure, type MountOptions } from './common/transport.ts';

const log = createDebug('ipcfs:mount');

async function mountRaw(options: MountOptions): Promise<Mounted> {
  if (process.platform !== 'linux') {
    throw new MountFailure(`--transport raw is for Linux: use --transport fuse-native`);
  }
  try {
    return await (await import('./raw/raw-mount.ts')).mountRaw(options);
  } catch (error) {
    // Node opens the modules of a thread all at once. The other transport would mount, and do without most of what there is.
    if ((error as NodeJS.ErrnoException).code === 'EMFILE') throw new TooFewFiles();
    throw error;
  }
}

async function mountNative(options: MountOptions): Promise<Mounted> {
  return (await import('./fuse-native/native-mount.ts')).mountNative(options);
}

class TooFewFiles extends MountFailure {
  constructor() {
    super("too few files may be open: raise the limit with 'ulimit -n 1024'");
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}

/**
 * Mounts by the transport that was asked for; of either, the raw one if it can mount. Only what is used is loaded. Resolves once the mount
 * answers; rejects with a MountFailure, and then nothing is left behind.
 */
export async function mountFileSystem(options: MountOptions): Promise<Mounted> {
  switch (options.transport) {
    case 'raw':
      return mountRaw(options);
    case 'fuse-native':
      return mountNative(options);
    case 'auto': {
      if (process.platform !== 'linux') return mountNative(options);
      let failure: unknown;
      try {
        return await mountRaw(options);
      } catch (error) {
        failure = error;
      }
      log('raw: %o', failure);
      if (failure instanceof TooFewFiles) throw failure;
      try {
        const mounted = await mountNative(options);
        return {
          ...mounted,
          remark: `mounted by fuse-native, whose losses 'ipcfs doctor --fuse-module ${options.fuseModule}' lists, since raw failed: ${firstLine(failure)}`,
        };
      } catch (error) {
        log('fuse-native: %o', error);
        // What keeps the better transport from mounting is what is worth mending, also when the other one cannot do what was asked.
        throw failure;
      }
    }
  }
}
