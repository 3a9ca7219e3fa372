import type { PollSource } from '../../poll-sources.ts';
import { keepDescriptor, keepSpareDescriptor } from '../descriptors/descriptor-reserve.ts';
import * as libc from '../libc.ts';
import { zombieStatus } from '../processes/processes.ts';

/** _IOWR(0xff, 11, struct pidfd_info), with the structure as Linux 6.13 had it. */
const PIDFD_GET_INFO = 0xc040ff0b;
const PIDFD_INFO_BYTES = 64;
/** Wanted, and in the answer: the exit code is there. Linux 6.15, and only once the process was waited for. */
const PIDFD_INFO_EXIT = 0x8;
const EXIT_CODE_WORD = 15;

/** Waits for the end of a whole process: of its last thread. */
export class Pidfd implements PollSource {
  readonly descriptor: number;
  readonly #pid: number;
  readonly #ended: (status: number | null) => void;

  private constructor(descriptor: number, pid: number, ended: (status: number | null) => void) {
    this.descriptor = descriptor;
    this.#pid = pid;
    this.#ended = ended;
  }

  /**
   * A source to be polled, or a negative errno: ESRCH when the process has ended and was waited for, ENFILE without descriptors. `ended` hears the wait status,
   * or null when this process cannot know it.
   */
  static open(pid: number, ended: (status: number | null) => void): Pidfd | number {
    const descriptor = keepDescriptor(libc.pidfdOpen(pid));
    return descriptor < 0 ? descriptor : new Pidfd(descriptor, pid, ended);
  }

  /** The same where the end is told by other means too: null when the process is gone or descriptors are scarce. */
  static openSpare(pid: number, ended: (status: number | null) => void): Pidfd | null {
    const descriptor = keepSpareDescriptor(libc.pidfdOpen(pid));
    return descriptor < 0 ? null : new Pidfd(descriptor, pid, ended);
  }

  readable(): void {
    this.#ended(this.#status());
  }

  close(): void {
    libc.close(this.descriptor);
  }

  /** Before it was waited for /proc knows, for those who may look into the process; afterwards newer kernels do. */
  #status(): number | null {
    const ofZombie = zombieStatus(this.#pid);
    return this.#statusOfWaitedFor() ?? ofZombie;
  }

  #statusOfWaitedFor(): number | null {
    const info = new Int32Array(PIDFD_INFO_BYTES / Int32Array.BYTES_PER_ELEMENT);
    info[0] = PIDFD_INFO_EXIT;
    if (libc.ioctl(this.descriptor, PIDFD_GET_INFO, info) !== 0 || (info[0] & PIDFD_INFO_EXIT) === 0)
      return null;
    return info[EXIT_CODE_WORD]!;
  }
}
