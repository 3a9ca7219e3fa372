import type { Host } from '../kern/host.ts';
import type { ProcessEvents } from '../kern/process-events.ts';
import type { StorageMemory } from '../shm/storage.ts';
import type { Mapping } from './linux/mappings.ts';
import type { PollSources } from './poll-sources.ts';

/** Runs a program to its end: its exit status, -1 when it could not be run or took too long. */
export type RunProgram = (program: string, args: readonly string[]) => Promise<number>;

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
  /** Takes the mount at `directory` away although it is in use, from another process. False when that failed. */
  unmount(directory: string): Promise<boolean>;
  /** Whether `pid`, which a server has given for its own, is a server here: this process may see other numbers than that one does. */
  isServer(pid: number): boolean;
  /** Which processes map which inodes of the mount at `directory`; null where the host cannot tell. */
  readonly findMappings: ((directory: string) => Promise<readonly Mapping[]>) | null;
}

/** The platform that this program runs on; only its own code is loaded. */
export async function loadPlatform(name: NodeJS.Platform = process.platform): Promise<Platform> {
  if (name === 'darwin') return (await import('./darwin/darwin-platform.ts')).createDarwinPlatform();
  return (await import('./linux/linux-platform.ts')).createLinuxPlatform();
}
