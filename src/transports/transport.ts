/** How a file system is mounted, whatever carries its requests. */
export interface MountOptions {
  /** An existing directory, as an absolute path. */
  readonly directory: string;
  /** Whether users other than the one who mounts may use the mount. */
  readonly allowOther: boolean;
  /** Whether nobody may execute files of the mount, nor map them executable. */
  readonly noExec?: boolean;
  /** Of this program, for info/version. */
  readonly version: string;
  readonly spinMs: number;
  /** How segments are mapped; auto takes passthrough where it can be had. */
  readonly shmBacking: 'auto' | 'passthrough' | 'cached';
  readonly sysctls: readonly (readonly [name: string, value: number])[];
}

/** A running mount. */
export interface Mounted {
  /** Settles when the mount has ended, however it came about; rejects when its server failed. */
  readonly ended: Promise<void>;
  /** Unmounts: blocked calls are answered, the mount point is free, `ended` settles. */
  stop(): void;
}

/** A failure with one line for a person that says what to do. */
export class MountFailure extends Error {
  override readonly name = 'MountFailure';
}
