import { HeapStorageMemory } from '../../shm/storage.ts';
import type { Platform, RunProgram } from '../platform.ts';
import { PortableHost } from '../portable-host.ts';
import { runProgram } from '../run-program.ts';
import { libraryFailure } from './libc.ts';
import { LinuxHost } from './linux-host.ts';
import { findMappings } from './mappings.ts';
import { MemfdMemory } from './memfd.ts';
import { FILE_SYSTEM_NAME } from '../mounts.ts';
import { mountAt } from './mount-table.ts';
import { readText } from './processes.ts';
import { LinuxProcessEvents } from './process-events.ts';

const PIPE_BUF_BYTES = 4096;

/** Whoever may, first: root by umount(8), others through the helpers of libfuse 3 and 2. */
const UNMOUNTERS: readonly (readonly string[])[] = [
  ['umount', '-l', '--'],
  ['fusermount3', '-u', '-z', '--'],
  ['fusermount', '-u', '-z', '--'],
];

/**
 * Linux, for a server that is mounted through a library. Where the C library cannot be called it is what any system has. `run`: for
 * tests.
 */
export function createLinuxPlatform(run: RunProgram = runProgram): Platform {
  const hasLibrary = libraryFailure === null;
  return {
    host: hasLibrary ? new LinuxHost() : new PortableHost(),
    pipeBufBytes: PIPE_BUF_BYTES,
    mountOptions: [],
    // The helper of libfuse is root to the kernel, and a mount lets in only who has mounted it.
    canNestMounts: process.getuid!() === 0,
    createMemory: () => (hasLibrary ? new MemfdMemory() : new HeapStorageMemory()),
    createProcessEvents: (sources) => (hasLibrary ? new LinuxProcessEvents(sources) : null),
    async unmount(directory) {
      for (const [program, ...args] of UNMOUNTERS) {
        if ((await run(program!, [...args, directory])) === 0) return true;
      }
      return false;
    },
    isServer: (pid) => readText(`/proc/${pid}/cmdline`)?.startsWith(FILE_SYSTEM_NAME) === true,
    async findMappings(directory) {
      const entry = mountAt(directory);
      return entry === null ? [] : findMappings(entry.deviceMinor);
    },
  };
}
