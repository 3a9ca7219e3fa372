import { linuxOpenFlags } from '../../host/host-numbers.ts';
import type { Timespec } from '../../kern/clock.ts';
import type { BindingOperations } from './binding.ts';
import {
  type Answer,
  commonCallbacks,
  type CommonTarget,
  type Complain,
  type Perform,
  performer,
} from './callbacks.ts';
import type { FileOperations } from './file-operations.ts';
import type { Stat } from './name-operations.ts';
import { Turns } from './turns.ts';

/** The operations that a mount of this API calls: some other process may perform them. */
export type LegacyTarget = CommonTarget &
  Pick<FileOperations, 'getattr' | 'readdir' | 'rename' | 'chmod' | 'chown' | 'utimens' | 'open'>;

/** The operations about extended attributes, for a mount whose files can have some. */
export type AttributeTarget = Pick<FileOperations, 'getxattr' | 'listxattr' | 'setxattr' | 'removexattr'>;

function millisecondsOf({ seconds, nanoseconds }: Timespec): number {
  // The binding takes unsigned numbers.
  return Math.max(0, seconds * 1000 + Math.floor(nanoseconds / 1_000_000));
}

function timespecOf(milliseconds: number): Timespec {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanoseconds: (milliseconds - seconds * 1000) * 1_000_000 };
}

function statWords(stat: Stat): object {
  const { atime, mtime, ctime } = stat;
  return {
    ...stat,
    atime: millisecondsOf(atime),
    mtime: millisecondsOf(mtime),
    ctime: millisecondsOf(ctime),
  };
}

/**
 * The callbacks of `fuse-native` 2: it gives no caller, no flags but those of open, and 32 bits for the number of an open file. There is no
 * callback `create`: it would not be told the flags, so the host's kernel makes the name first, and then opens it. Without `attributes` the
 * host's kernel asks for none: through the page cache it would ask with each write.
 */
export function legacyOperations(
  target: LegacyTarget,
  complain: Complain,
  attributes: AttributeTarget | null = null,
): BindingOperations {
  const perform = performer(new Turns(), complain);
  return {
    ...commonCallbacks(target, perform),
    ...(attributes === null ? {} : attributeCallbacks(attributes, perform)),
    getattr(path: string, answer: Answer) {
      perform('getattr', answer, (reply) => {
        target.getattr(path, (result, stat) => {
          reply(result, stat === undefined ? undefined : statWords(stat));
        });
      });
    },
    readdir(path: string, answer: Answer) {
      perform('readdir', answer, (reply) => {
        target.readdir(path, (result, list) => {
          reply(result, list?.names, list?.stats.map(statWords));
        });
      });
    },
    rename(path: string, newPath: string, answer: Answer) {
      perform('rename', answer, (reply) => {
        target.rename(path, newPath, 0, reply);
      });
    },
    chmod(path: string, mode: number, answer: Answer) {
      perform('chmod', answer, (reply) => {
        target.chmod(path, mode, reply);
      });
    },
    chown(path: string, uid: number, gid: number, answer: Answer) {
      perform('chown', answer, (reply) => {
        target.chown(path, uid, gid, reply);
      });
    },
    utimens(path: string, accessedMs: number, modifiedMs: number, answer: Answer) {
      perform('utimens', answer, (reply) => {
        target.utimens(path, timespecOf(accessedMs), timespecOf(modifiedMs), reply);
      });
    },
    open(path: string, flags: number, answer: Answer) {
      perform('open', answer, (reply) => {
        target.open(path, linuxOpenFlags(flags), (result, opened) => {
          reply(result, opened?.handle);
        });
      });
    },
  };
}

/** The position is macOS's. The binding is not told how much room a caller has, and cuts what is longer. */
function attributeCallbacks(target: AttributeTarget, perform: Perform): BindingOperations {
  return {
    getxattr(path: string, name: string, _position: number, answer: Answer) {
      perform('getxattr', answer, (reply) => {
        target.getxattr(path, name, reply);
      });
    },
    listxattr(path: string, answer: Answer) {
      perform('listxattr', answer, (reply) => {
        target.listxattr(path, reply);
      });
    },
    setxattr(path: string, name: string, value: Buffer, _position: number, flags: number, answer: Answer) {
      perform('setxattr', answer, (reply) => {
        target.setxattr(path, name, value, flags, reply);
      });
    },
    removexattr(path: string, name: string, answer: Answer) {
      perform('removexattr', answer, (reply) => {
        target.removexattr(path, name, reply);
      });
    },
  };
}

/** What all mounts through libfuse 2 have in common, as `-o` takes it. */
const COMMON_OPTIONS = [
  'default_permissions',
  // st_ino is ours.
  'use_ino',
  'big_writes',
  'atomic_o_trunc',
  // Names and attributes change without the host's kernel being told.
  'entry_timeout=0',
  'negative_timeout=0',
  'attr_timeout=0',
];

/** How a mount treats files: everything goes to the server, or everything through the page cache. */
export type LegacyMountKind = 'direct' | 'cached';

/**
 * Options for the constructor. It has no name for most of what we need, but writes `fsname` into the list of `-o` as it is, so the list goes
 * in there. `extra`: of the host.
 */
export function legacyOptions(kind: LegacyMountKind, extra: readonly string[]): object {
  const options = [
    'ipcfs',
    `subtype=${kind === 'direct' ? 'ipcfs' : 'ipcfs.shm'}`,
    kind === 'direct' ? 'direct_io' : 'kernel_cache',
    ...COMMON_OPTIONS,
    ...extra,
  ];
  // timeout: it would otherwise answer for us after 15 seconds.
  return { fsname: options.join(','), timeout: false };
}
