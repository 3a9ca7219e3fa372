import type { WantedTransport } from '../transports/transport.ts';
import type { SysctlSetting } from './sysctl-setting.ts';

/** The options of `ipcfs mount`, parsed. */
export interface MountCommandOptions {
  readonly foreground: boolean;
  readonly transport: WantedTransport;
  readonly fuseModule: string;
  readonly allowOther: boolean;
  readonly noexec: boolean;
  /** In milliseconds. */
  readonly spin: number;
  readonly shmBacking: 'auto' | 'passthrough' | 'cached';
  readonly pipeBuf?: SysctlSetting;
  readonly sysctl: readonly SysctlSetting[];
  /** The path of a configuration file. */
  readonly config?: string;
}

/** What a server is started with. */
export interface ServerInput {
  /** Absolute, without links. */
  readonly directory: string;
  readonly options: MountCommandOptions;
  /** All of them: the configuration file may be a pipe that can be read once. */
  readonly settings: readonly SysctlSetting[];
}

/** Set for the server in the background: its ServerInput as JSON. It parses no arguments, and loads nothing for that. */
export const SERVER_VARIABLE = 'IPCFS_SERVER';
/** The descriptor on which it says how its mount went. */
export const READY_DESCRIPTOR = 3;
/** What it says then, in a line with the remark that there may be. */
export const READY = 'ready ';
