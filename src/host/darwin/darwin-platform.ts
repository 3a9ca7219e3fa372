import { HeapStorageMemory } from '../../shm/storage.ts';
import type { Platform } from '../platform.ts';
import { PortableHost } from '../portable-host.ts';
import { type RunProgram, runProgram } from '../run-program.ts';

const PIPE_BUF_BYTES = 512;

/** The first asks the kernel itself; diskutil also ends what Finder and Spotlight have open. */
const UNMOUNTERS: readonly (readonly string[])[] = [
  ['/sbin/umount', '-f'],
  ['/usr/sbin/diskutil', 'unmount', 'force'],
];

/** macOS with macFUSE. `run`: for tests. */
export function createDarwinPlatform(run: RunProgram = runProgram): Platform {
  return {
    host: new PortableHost(),
    pipeBufBytes: PIPE_BUF_BYTES,
    mountOptions: [
      // Otherwise macFUSE takes a server for dead, and ends its mount, once a call has waited for a minute.
      'daemon_timeout=0',
      // Finder's ._ files and Apple's extended attributes would be pipes and segments here.
      'noappledouble',
      'noapplexattr',
      // Spotlight would open every pipe.
      'nobrowse',
      'volname=ipcfs',
    ],
    // macFUSE's helper is root too, and refuses mounts within its mounts unless told otherwise.
    canNestMounts: false,
    hasSignal: null,
    findDescriptors: null,
    createMemory: () => new HeapStorageMemory(),
    createProcessEvents: () => null,
    detach: () => false,
    async unmount(directory) {
      for (const [program, ...args] of UNMOUNTERS) {
        if ((await run(program!, [...args, directory])) === 0) return true;
      }
      return false;
    },
    // There are no namespaces: a number means one process to all.
    isServer: () => true,
    findMappings: null,
  };
}
