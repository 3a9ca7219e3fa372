import type { WantedRing, WantedTransport } from '../../transports/common/transport.ts';
import type { SysctlSetting } from './sysctl-setting.ts';

/** Options that say how a mount is served, parsed. */
export interface ServingOptions {
  readonly transport: WantedTransport;
  readonly fuseModule: string;
  /** In milliseconds. */
  readonly spin: number;
  readonly shmBacking: 'auto' | 'passthrough' | 'cached';
  readonly ioUring: WantedRing;
  readonly pipeBuf?: SysctlSetting;
  readonly sysctl: readonly SysctlSetting[];
  /** The path of a configuration file. */
  readonly config?: string;
}

/** The options of `ipcfs mount`, parsed. */
export interface MountCommandOptions extends ServingOptions {
  readonly foreground: boolean;
  readonly allowOther: boolean;
  readonly noexec: boolean;
}

/** What a server is started with. */
export interface ServerInput {
  /** Absolute, without links. */
  readonly directory: string;
  readonly options: MountCommandOptions;
  /** All of them: the configuration file may be a pipe that can be read once. */
  readonly settings: readonly SysctlSetting[];
  /**
   * The mount is for the process that starts the server: it ends when that process does, however that ends, and takes the directory
   * with it, which was made for it.
   */
  readonly isPrivate: boolean;
}

/** Set for the server in the background: its ServerInput as JSON. It parses no arguments, and loads nothing for that. */
export const SERVER_VARIABLE = 'IPCFS_SERVER';
/** The descriptor on which it says how its mount went, a stream socket. A private mount lasts until its other end is closed. */
export const READY_DESCRIPTOR = 3;
/** What it says then, in a line with the remark that there may be. */
export const READY = 'ready ';
