import { HeapStorageMemory } from '../../shm/storage.ts';
import type { Platform } from '../platform.ts';
import { PortableHost } from '../portable-host.ts';
import { type RunProgram, runProgram } from '../run-program.ts';
import { libraryFailure, MNT_DETACH, MNT_FORCE } from './libc.ts';
import { LinuxHost } from './linux-host.ts';
import { MappingThread } from './processes/mapping-thread.ts';
import { MemfdMemory } from './memory/memfd.ts';
import { FILE_SYSTEM_NAME } from '../mounts.ts';
import { HandleThread } from './descriptors/handle-thread.ts';
import { CAP_SYS_ADMIN, hasCapability } from './processes/capabilities.ts';
import { hasSignal, processStatus } from './processes/processes.ts';
import { detachMount } from './mounts/detach-mount.ts';
import { mountAt } from './mounts/mount-table.ts';
import { readStart } from './bounded-read.ts';
import { LinuxProcessEvents } from './events/process-events.ts';

const PIPE_BUF_BYTES = 4096;

/** In the order of trial: root by umount(8), others through the helpers of libfuse 3 and 2. */
const UNMOUNTERS: readonly (readonly string[])[] = [
  ['umount', '-l', '--'],
  ['fusermount3', '-u', '-z', '--'],
  ['fusermount', '-u', '-z', '--'],
];

/** Platform.findDescriptors of a host that can look at descriptors. */
function descriptorFinder(host: LinuxHost): NonNullable<Platform['findDescriptors']> {
  return (directory, answered) => {
    const entry = mountAt(directory);
    host.mount = { id: entry?.id ?? -1, deviceMinor: entry?.deviceMinor ?? -1 };
    // libfuse keeps the nodeids of a mount to itself.
    host.isTreeKnown = false;
    const thread = new HandleThread(host.mount, answered);
    return (question) => {
      thread.ask(question);
    };
  };
}

/**
 * Linux, for a server that is mounted through a library. Where the C library cannot be called it is what any system has. `run`: for
 * tests.
 */
export function createLinuxPlatform(run: RunProgram = runProgram): Platform {
  const hasLibrary = libraryFailure === null;
  const mappingThread = new MappingThread();
  const host = hasLibrary ? new LinuxHost() : new PortableHost();
  return {
    host,
    pipeBufBytes: PIPE_BUF_BYTES,
    mountOptions: [],
    // The helper of libfuse is root to the kernel, and a mount lets in only who has mounted it.
    canNestMounts: process.getuid!() === 0,
    hasSignal,
    findDescriptors: host instanceof LinuxHost ? descriptorFinder(host) : null,
    createMemory: () => (hasLibrary ? new MemfdMemory() : new HeapStorageMemory()),
    createProcessEvents: (sources) => (hasLibrary ? new LinuxProcessEvents(sources) : null),
    detach(directory) {
      if (!hasLibrary || !hasCapability('CapEff', CAP_SYS_ADMIN)) return false;
      const entry = mountAt(directory);
      // Calls that the server holds end too: their processes could not be killed otherwise.
      return entry !== null && detachMount(entry.id, MNT_FORCE | MNT_DETACH);
    },
    async unmount(directory) {
      for (const [program, ...args] of UNMOUNTERS) {
        if ((await run(program!, [...args, directory])) === 0) return true;
      }
      return false;
    },
    isServer: (pid, directory) =>
      readStart(`/proc/${pid}/cmdline`, FILE_SYSTEM_NAME.length) === FILE_SYSTEM_NAME &&
      mountAt(directory)?.superOptions.includes(`user_id=${processStatus(pid)?.realUid ?? ''}`) === true,
    async findMappings(directory) {
      const entry = mountAt(directory);
      return entry === null ? null : mappingThread.look(entry.deviceMinor);
    },
  };
}
