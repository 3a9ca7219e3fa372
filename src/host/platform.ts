import type { Host } from '../kern/host.ts';
import type { ProcessEvents } from '../kern/process-events.ts';
import type { StorageMemory } from '../shm/storage.ts';
import type { MappingsSeen } from './linux/processes/mappings.ts';
import type { PollSources } from './poll-sources.ts';

/** Asks for the handle of the open file that a process has at a descriptor. */
export type AskHandle = (question: {
  readonly id: number;
  readonly pid: number;
  readonly descriptor: number;
}) => void;
/** `handle` is 0 where there is none, or it may not be asked. */
export type HandleAnswered = (answer: { readonly id: number; readonly handle: number }) => void;

/** Where systems differ, for a server that is mounted through a library and not by our own hands. */
export interface Platform {
  readonly host: Host;
  /** The largest write that is atomic, in bytes, as programs there are compiled to expect. */
  readonly pipeBufBytes: number;
  /** Options for the mount, as `-o` takes them, beside those that libfuse has everywhere. */
  readonly mountOptions: readonly string[];
  /** Whether this user can mount within a mount of his own. */
  readonly canNestMounts: boolean;
  /** Whether a signal is pending for a thread, null where the host cannot tell. */
  readonly hasSignal: ((threadId: number) => boolean) | null;
  /**
   * Once mounted: tells the host which mount its callers' descriptors may lead to. Gives the function that asks the open file behind a
   * descriptor for its handle, from another thread; `answered` is called for each. Null where the host cannot look at descriptors.
   */
  readonly findDescriptors: ((directory: string, answered: HandleAnswered) => AskHandle) | null;
  createMemory(): StorageMemory;
  /** Null where the host tells nothing of its processes. */
  createProcessEvents(sources: PollSources): ProcessEvents | null;
  /**
   * Takes the mount at `directory` away, and ends the calls that its server holds; false where that needs another way. It looks at the mount,
   * so a thread that serves it must not ask.
   */
  detach(directory: string): boolean;
  /** Takes the mount at `directory` away although it is in use, from another process. False when that failed. */
  unmount(directory: string): Promise<boolean>;
  /**
   * Whether `pid`, which the server of the mount at `directory` has given for its own, is a server here, and one of the user who mounted:
   * this process may see other numbers than that one does, and a mount of another user may name any.
   */
  isServer(pid: number, directory: string): boolean;
  /** Which processes map which inodes of the mount at `directory`; null where the host cannot tell. One look at a time; null from it when nothing could be seen. */
  readonly findMappings: ((directory: string) => Promise<MappingsSeen | null>) | null;
}
