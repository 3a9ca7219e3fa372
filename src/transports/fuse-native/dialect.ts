import type { Platform } from '../../host/platform.ts';
import type { Capabilities } from '../common/capabilities.ts';
import { MountFailure, type MountOptions } from '../common/transport.ts';
import type { FuseModule } from './binding.ts';
import type { Complain } from './callbacks.ts';
import { LEGACY } from './legacy-mount.ts';
import { MODERN } from './modern-mount.ts';
import type { Server } from './server.ts';

/** The mounts of one tree: several where one cannot serve all files. */
export interface Mounts {
  /** Where they are, the innermost first. */
  readonly directories: readonly string[];
  /** Settles when one of them has ended by itself. */
  readonly lost: Promise<void>;
  /** After they have been taken away. */
  close(): void;
}

/** What a dialect needs in order to mount. */
export interface MountContext {
  readonly fuse: FuseModule;
  readonly server: Server;
  readonly platform: Platform;
  readonly options: MountOptions;
  readonly complain: Complain;
}

/** One of the APIs that packages which bind libfuse have. */
export interface Dialect {
  readonly capabilities: Capabilities;
  /** How many calls can wait before others are held up; Infinity where they never are. */
  readonly waitingCallLimit: number;
  /** Whether a package speaks it, by what the package has. */
  isSpokenBy(fuse: FuseModule): boolean;
  /** Rejects with a MountFailure, and then nothing is left behind. */
  mount(context: MountContext): Promise<Mounts>;
}

export { LEGACY };

const DIALECTS: readonly Dialect[] = [LEGACY, MODERN];

/** The dialect that a package speaks. `name`: of the package, for the failure when there is none. */
export function dialectOf(fuse: FuseModule, name: string): Dialect {
  const dialect = DIALECTS.find((candidate) => candidate.isSpokenBy(fuse));
  if (dialect !== undefined) return dialect;
  throw new MountFailure(
    `${name} does not bind libfuse in a way that ipcfs knows: use fuse-native, @cocalc/fuse-native or fuse-napi`,
  );
}

/** What of a dialect's capabilities is left on a host that does not show signals, or descriptors, of its processes. */
export function capabilitiesOn(
  { hasSignal, findDescriptors }: Platform,
  { capabilities }: Dialect,
): Capabilities {
  return {
    ...capabilities,
    interrupt: capabilities.interrupt && hasSignal !== null,
    callerProcess: capabilities.callerProcess && findDescriptors !== null,
    sigpipe: capabilities.sigpipe && findDescriptors !== null,
  };
}
