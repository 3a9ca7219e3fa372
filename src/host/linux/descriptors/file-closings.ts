import * as libc from '../libc.ts';

const IN_CLOSE_WRITE = 0x8;
const IN_CLOSE_NOWRITE = 0x10;
const IN_Q_OVERFLOW = 0x4000;
const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
/** struct inotify_event of a file that is watched itself, in 32-bit words: watch, mask, cookie, length of a name that it has not. */
const EVENT_WORDS = 4;
const EVENTS_AT_ONCE = 64;

/**
 * Tells that open files of a memory have ended: their last descriptor and their last mapping are gone. The kernel joins equal
 * events that nobody has read yet, so several ends may be told as one; none is told that has not been.
 */
export class FileClosings {
  /** Readable when there is something to `take`. */
  readonly descriptor: number;
  /** Called when some ends will never be told. */
  onLost: () => void = () => undefined;
  readonly #callbacks = new Map<number, () => void>();
  readonly #events = new Int32Array(EVENTS_AT_ONCE * EVENT_WORDS);

  private constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  /** A negative errno when the user has as many of these as there may be (EMFILE). */
  static open(): FileClosings | number {
    const descriptor = libc.inotifyInit(IN_NONBLOCK | IN_CLOEXEC);
    return descriptor < 0 ? libc.failure() : new FileClosings(descriptor);
  }

  /** `closed` is called for ends from now on. A number for `unwatch`, or a negative errno: ENOSPC when no watch is left. */
  watch(memoryDescriptor: number, closed: () => void): number {
    const path = `/proc/self/fd/${memoryDescriptor}`;
    const watch = libc.inotifyAddWatch(this.descriptor, path, IN_CLOSE_WRITE | IN_CLOSE_NOWRITE);
    if (watch < 0) return libc.failure();
    this.#callbacks.set(watch, closed);
    return watch;
  }

  /** A watch keeps the memory, so it must go with its last user. */
  unwatch(watch: number): void {
    this.#callbacks.delete(watch);
    libc.inotifyRemoveWatch(this.descriptor, watch);
  }

  /**
   * True when no open file but the server's own has the memory, nor a mapping of one: then all ends have been told. False also when
   * that is not known. Nobody may be opening the memory, as he would wait for the lease that finds it out.
   */
  isUnused(memoryDescriptor: number): boolean {
    return libc.isOpenedOnce(memoryDescriptor);
  }

  close(): void {
    libc.close(this.descriptor);
  }

  /** Calls back for what has been told so far. */
  take(): void {
    const events = this.#events;
    for (;;) {
      const length = libc.read(this.descriptor, events, events.byteLength);
      for (let at = 0; at < length / Int32Array.BYTES_PER_ELEMENT; at += EVENT_WORDS) {
        const mask = events[at + 1]!;
        if ((mask & IN_Q_OVERFLOW) !== 0) this.onLost();
        // The end of a watch is an event too.
        else if ((mask & (IN_CLOSE_WRITE | IN_CLOSE_NOWRITE)) !== 0) this.#callbacks.get(events[at]!)?.();
      }
      if (length < events.byteLength) return;
    }
  }
}
