import type { MountPlace } from '../../host/linux/descriptors/descriptors.ts';
import type { SleepersAsked } from '../../host/linux/sleepers/sleepers.ts';
import type { Sleeper } from '../../kern/sleeper.ts';
import type { MappingsSeen } from '../../host/linux/processes/mappings.ts';
import type { MountIdentity } from '../../tree/file-system.ts';
import type { WantedRing } from '../common/transport.ts';
import type { HandleQuestion } from '../common/handle-query.ts';
import type { WantedBacking } from './segments/backings.ts';
import type { LoopEnd } from './loop.ts';

/** What the worker that serves a mount is started with. Everything in it can be copied between threads. */
export interface WorkerInput {
  readonly fuseDescriptor: number;
  /** An eventfd that ends the worker's sleep. */
  readonly wakeDescriptor: number;
  /** Words shared by both threads; see Flag. */
  readonly flags: Int32Array<SharedArrayBuffer>;
  readonly shmBacking: WantedBacking;
  /** By this process's mount table. */
  readonly mount: MountPlace;
  readonly identity: MountIdentity;
  readonly spinMs: number;
  readonly ioUring: WantedRing;
  /** Tunables to set before anything runs; checked by the command line already. */
  readonly sysctls: readonly (readonly [name: string, value: number])[];
}

/** Positions of the shared words: not 0 when the mount is to end, and when the main thread has sent a message. */
export const Flag = { Stop: 0, Mail: 1 } as const;
export const FLAG_COUNT = 2;

/** From the worker. */
export type WorkerMessage =
  | { readonly kind: 'ready' }
  /** `kernelMinor`: of the kernel that was too old. */
  | { readonly kind: 'ended'; readonly why: LoopEnd; readonly kernelMinor: number | null }
  /** Why the mount is refused, for a person; before it has ended. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** A thread is held in a call by a file of a user: this one cannot end before it does. */
  | { readonly kind: 'held' }
  /** Asks which processes map files of the mount: reading that can wait for those processes, so the worker must not. */
  | { readonly kind: 'findMappers' }
  /** Asks who sleeps outside of the mount: the same. */
  | { readonly kind: 'findSleepers'; readonly blocked: SleepersAsked['blocked'] }
  /** Asks for the handle of an open file, by an ioctl that the worker will serve. */
  | { readonly kind: 'findHandle'; readonly question: HandleQuestion };

/** To the worker. */
export type MainMessage =
  /** One for each question in their order; null when nothing could be seen. */
  | { readonly kind: 'mappers'; readonly seen: MappingsSeen | null }
  | { readonly kind: 'sleepers'; readonly seen: readonly Sleeper[] | null }
  /** To the question of this id; 0 when it could not be asked. */
  | { readonly kind: 'handle'; readonly id: number; readonly handle: number };
