/** What `import ... from 'ipcfs'` gives: the engines in a program, without a mount, and mounts made by a program. */

export { IpcError } from './library/error.ts';
export {
  Kqueue,
  type KqueueAction,
  type KqueueChange,
  type KqueueEvent,
  type KqueueFilter,
  type KqueueFlag,
  type KqueueIdent,
  type KqueueRefusal,
  type KqueueResult,
  type KqueueToken,
} from './library/kqueue.ts';
export { mount, type Mount, MountFailure, type MountSettings } from './library/mount.ts';
export { Pipe, type PipeEnd, type PipeOptions, type PipeReadiness, type PipeStat } from './library/pipe.ts';
export {
  SharedMemory,
  type SegmentAttachment,
  type SegmentInfo,
  type SegmentRequest,
  type SharedMemoryOptions,
} from './library/shared-memory.ts';
export {
  type Caller,
  IpcSystem,
  type IpcSystemOptions,
  type PipePolicy,
  type WaitOptions,
} from './library/system.ts';
