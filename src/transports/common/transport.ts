/** What carries requests: our own protocol over /dev/fuse, or a package that binds libfuse. */
export type TransportName = 'raw' | 'fuse-native';
export type WantedTransport = TransportName | 'auto';

/** `on` fails where the kernel does not offer it. */
export type WantedRing = 'auto' | 'on' | 'off';

/** How a file system is mounted, whatever carries its requests. */
export interface MountOptions {
  /** An existing directory, as an absolute path. */
  readonly directory: string;
  readonly transport: WantedTransport;
  /** The package that binds libfuse, by name or absolute path, for the transport `fuse-native`. */
  readonly fuseModule: string;
  /** Whether users other than the one who mounts were asked to be let in. Root lets them in wherever callers are known. */
  readonly allowOther: boolean;
  /** Whether nobody may execute files of the mount, nor map them executable. */
  readonly noExec?: boolean;
  /** Of this program, for info/version. */
  readonly version: string;
  readonly spinMs: number;
  /** How segments are mapped; auto takes passthrough where it can be had. */
  readonly shmBacking: 'auto' | 'passthrough' | 'cached';
  /** Whether requests come through an io_uring: where the kernel offers it, always, or never. */
  readonly ioUring: WantedRing;
  readonly sysctls: readonly (readonly [name: string, value: number])[];
}

/** A running mount. */
export interface Mounted {
  /** Settles when the mount has ended, however it came about; rejects when its server failed. */
  readonly ended: Promise<void>;
  /** Once it has ended: a thread of this process is in a call that may never come back, so that Node could not end. */
  readonly isHeld?: boolean;
  /** One line for a person, when the mount is not the one that they would have expected. */
  readonly remark?: string;
  /** Unmounts: blocked calls are answered, the mount point is free, `ended` settles. */
  stop(): void;
}

/** A failure with one line for a person that says what to do. */
export class MountFailure extends Error {
  override readonly name = 'MountFailure';
}
