import type { MountIdentity } from '../../vfs/file-system.ts';
import type { LoopEnd } from './loop.ts';

/** What the worker that serves a mount is started with. Everything in it can be copied between threads. */
export interface WorkerInput {
  readonly fuseDescriptor: number;
  /** An eventfd that ends the worker's sleep. */
  readonly wakeDescriptor: number;
  /** One word, shared: not 0 when the mount is to end. */
  readonly stop: Int32Array<SharedArrayBuffer>;
  readonly identity: MountIdentity;
  readonly spinMs: number;
  /** Tunables to set before anything runs; checked by the command line already. */
  readonly sysctls: readonly (readonly [name: string, value: number])[];
}

export type WorkerMessage = { readonly kind: 'ready' } | { readonly kind: 'ended'; readonly why: LoopEnd };
