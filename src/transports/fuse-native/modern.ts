import { linuxOpenFlags } from '../../host/host-numbers.ts';
import type { Timespec } from '../../kern/clock.ts';
import { EVERY_LINUX_POLL_BIT } from '../common/poll-bits.ts';
import type { BindingOperations } from './binding.ts';
import { type Answer, commonCallbacks, type CommonTarget, type Perform } from './callbacks.ts';
import type { FileOperations, Opened, PollNotifier } from './file-operations.ts';
import type { DirectoryListing, Subject } from './name-operations.ts';

/** The operations that a mount of this API calls. */
export type ModernTarget = CommonTarget &
  Pick<
    FileOperations,
    | 'getattr'
    | 'opendir'
    | 'readdir'
    | 'releasedir'
    | 'rename'
    | 'chmod'
    | 'chown'
    | 'utimens'
    | 'open'
    | 'create'
    | 'poll'
    | 'ioctl'
  >;

/** What a callback's `context()` gives while it runs. `pid` is the calling thread. */
export interface RequestContext {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** Of calls about an open file: the number that its open gave, and its flags where the call carries them. */
  readonly fileInfo: { readonly fd: number; readonly flags: number } | null;
}

/** A time as this API has it. */
interface BindingTime {
  readonly seconds: number | bigint;
  /** Or one of the two that follow. */
  readonly nanoseconds: number;
}

/** The answer to a part of a directory: with each name the offset of what follows it. */
type Pages = (
  result: number,
  names: readonly string[],
  stats: readonly object[],
  next: readonly number[],
) => void;

const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;

/** FUSE_CAP_AUTO_INVAL_DATA: Linux would drop a segment's cached pages whenever it sees another time of modification. */
const CAPABILITY_AUTO_INVALIDATE = 1 << 12;

/** A path, or the open file that the call was made through: `handle` is 0 for none. */
function subjectOf(path: string | null, handle: number): Subject {
  return handle === 0 ? path! : handle;
}

/** How the host's kernel is to treat the file: its own pages are for what can be mapped, no position is for what has none. */
function openResult({ handle, isStream, isMappable }: Opened): object {
  return { fd: handle, directIO: !isMappable, keepCache: isMappable, nonseekable: isStream };
}

/** The callbacks of `fuse-napi` 2: open files by their number instead of a path, flags, times to the nanosecond, poll and ioctl. */
export function modernOperations(
  target: ModernTarget,
  perform: Perform,
  now: () => Timespec,
): BindingOperations {
  const timeOf = ({ seconds, nanoseconds }: BindingTime): Timespec | undefined => {
    if (nanoseconds === UTIME_OMIT) return undefined;
    return nanoseconds === UTIME_NOW ? now() : { seconds: Number(seconds), nanoseconds };
  };
  // A directory is read in parts, which belong together.
  const listings = new Map<number, DirectoryListing>();
  const answerOpen =
    (reply: Answer) =>
    (result: number, opened?: Opened): void => {
      reply(result, opened === undefined ? undefined : openResult(opened));
    };
  return {
    ...commonCallbacks(target, perform),
    initWithConfig({ want }: { want: number }, answer: Answer) {
      answer(0, { want: (want & ~CAPABILITY_AUTO_INVALIDATE) >>> 0 });
    },
    getattr(path: string, answer: Answer) {
      perform('getattr', answer, (reply) => {
        target.getattr(path, reply);
      });
    },
    fgetattr(path: string | null, handle: number, answer: Answer) {
      perform('getattr', answer, (reply) => {
        target.getattr(subjectOf(path, handle), reply);
      });
    },
    opendir(path: string, _flags: number, answer: Answer) {
      perform('opendir', answer, (reply) => {
        target.opendir(path, reply);
      });
    },
    readdirPaged(_path: string | null, directory: number, offset: number, answer: Pages) {
      perform('readdir', answer as Answer, (reply) => {
        const answerFrom = (listing: DirectoryListing): void => {
          const names = listing.names.slice(offset);
          const next = names.map((_name, index) => offset + index + 1);
          answer(0, names, listing.stats.slice(offset), next);
        };
        const begun = listings.get(directory);
        if (offset > 0 && begun !== undefined) {
          answerFrom(begun);
          return;
        }
        target.readdir(directory, (result, listing) => {
          if (listing === undefined) {
            reply(result);
            return;
          }
          listings.set(directory, listing);
          answerFrom(listing);
        });
      });
    },
    releasedir(_path: string | null, directory: number, answer: Answer) {
      perform('releasedir', answer, (reply) => {
        listings.delete(directory);
        target.releasedir(directory, reply);
      });
    },
    renameWithFlags(path: string, newPath: string, flags: number, answer: Answer) {
      perform('rename', answer, (reply) => {
        target.rename(path, newPath, flags, reply);
      });
    },
    chmodWithHandle(path: string | null, handle: number, mode: number, answer: Answer) {
      perform('chmod', answer, (reply) => {
        target.chmod(subjectOf(path, handle), mode, reply);
      });
    },
    chownWithHandle(path: string | null, handle: number, uid: number, gid: number, answer: Answer) {
      perform('chown', answer, (reply) => {
        target.chown(subjectOf(path, handle), uid, gid, reply);
      });
    },
    utimensWithHandle(
      path: string | null,
      handle: number,
      accessed: BindingTime,
      modified: BindingTime,
      answer: Answer,
    ) {
      perform('utimens', answer, (reply) => {
        target.utimens(subjectOf(path, handle), timeOf(accessed), timeOf(modified), reply);
      });
    },
    open(path: string, flags: number, answer: Answer) {
      perform('open', answer, (reply) => {
        target.open(path, linuxOpenFlags(flags), answerOpen(reply));
      });
    },
    createWithFlags(path: string, mode: number, flags: number, answer: Answer) {
      perform('create', answer, (reply) => {
        target.create(path, mode, linuxOpenFlags(flags), answerOpen(reply));
      });
    },
    pollWithHandle(_path: string | null, handle: number, notifier: PollNotifier | null, answer: Answer) {
      perform('poll', answer, (reply) => {
        // What the caller asked for is not told: the host's kernel picks it out of the answer.
        target.poll(handle, EVERY_LINUX_POLL_BIT, notifier, (ready) => {
          reply(Math.min(ready, 0), Math.max(ready, 0));
        });
      });
    },
    ioctl(
      _path: string | null,
      handle: number,
      command: number,
      _argument: number,
      _flags: number,
      bytes: Buffer,
      answer: Answer,
    ) {
      perform('ioctl', answer, (reply) => {
        target.ioctl(handle, command >>> 0, bytes, (result) => {
          // The binding takes no other success than 0.
          reply(Math.min(result, 0), bytes);
        });
      });
    },
  };
}
