import { existsSync, mkdirSync, readdirSync, readlinkSync, rmdirSync, writeFileSync } from 'node:fs';
import type { PollSource } from '../../poll-sources.ts';
import { ENFILE, EOPNOTSUPP } from '../../../kern/errno.ts';
import { descriptorFailure } from '../descriptors/descriptor-reserve.ts';
import { isOutOfDescriptors, withDescriptors } from '../descriptors/spare-descriptor.ts';
import * as libc from '../libc.ts';
import { processStatus } from '../processes/processes.ts';
import { openTracefs, type Tracefs } from './tracefs.ts';

/** Who hears of signals. Times are nanoseconds of CLOCK_MONOTONIC, as late as they can have been. */
type SignalListener = (pid: number, signal: number, timeNs: number) => void;

const EVENT = 'events/signal/signal_generate';
const INSTANCE_NAME = /^ipcfs-(\d+)$/;
/** Process and thread numbers count in the first namespace of processes, which always has this inode number. */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]';
const NANOSECONDS_PER_MICROSECOND = 1000;

/**
 * A line of the event. A thread's name may hold anything, but has 15 bytes at most: too few for what stands after it here, so the
 * first match is the right one.
 */
const LINE =
  / (\d+)\.(\d{6}): signal_generate: sig=(\d+) errno=-?\d+ code=-?\d+ comm=[^]{0,15}? pid=(\d+) grp=\d res=\d\n/g;
const LONGEST_LINE = 300;

const READ_BYTES = 64 * 1024;
/** So that a storm of signals does not keep requests waiting. */
const MOST_READS_AT_ONCE = 16;
/** Which process a thread belongs to is remembered this long. */
const REMEMBER_MS = 1000;

/**
 * Every signal that is sent in the system, from a tracefs instance of our own: also those that are ignored, blocked or pending
 * already. The event names a thread, and not always the first one of its process, so it cannot be filtered by the kernel.
 */
export class SignalEvents implements PollSource {
  readonly descriptor: number;
  readonly #tracefs: Tracefs;
  readonly #directory: string;
  readonly #listener: SignalListener;
  readonly #buffer = Buffer.alloc(READ_BYTES);
  #rest = '';
  #isClosed = false;
  /** When the signal was sent that was told last. */
  #toldNs = 0;
  readonly #processOfThread = new Map<number, number>();
  #forgetAtMs = 0;

  private constructor(descriptor: number, tracefs: Tracefs, directory: string, listener: SignalListener) {
    this.descriptor = descriptor;
    this.#tracefs = tracefs;
    this.#directory = directory;
    this.#listener = listener;
  }

  /**
   * Listens from now on. -ENFILE without descriptors, -EOPNOTSUPP where it cannot be had: for users other than root, in a namespace, in
   * a kernel without it.
   */
  static open(listener: SignalListener): SignalEvents | number {
    if (process.getuid!() !== 0 || !isFirstPidNamespace()) return -EOPNOTSUPP;
    const tracefs = openTracefs();
    if (typeof tracefs === 'number') return tracefs;
    const directory = `${tracefs.path}/instances/ipcfs-${process.pid}`;
    try {
      withDescriptors(() => {
        removeRemains(`${tracefs.path}/instances`);
      });
      mkdirSync(directory);
    } catch (error) {
      tracefs.close();
      return isOutOfDescriptors(error) ? -ENFILE : -EOPNOTSUPP;
    }
    let descriptor = -1;
    let failure = -EOPNOTSUPP;
    try {
      writeFileSync(`${directory}/trace_clock`, 'mono');
      descriptor = libc.open(`${directory}/trace_pipe`, libc.O_NONBLOCK | libc.O_CLOEXEC);
      if (descriptor < 0) failure = descriptorFailure();
      writeFileSync(`${directory}/${EVENT}/enable`, '1');
    } catch (error) {
      if (isOutOfDescriptors(error)) failure = -ENFILE;
      if (descriptor >= 0) libc.close(descriptor);
      descriptor = -1;
    }
    if (descriptor >= 0) return new SignalEvents(descriptor, tracefs, directory, listener);
    removeInstance(directory);
    tracefs.close();
    return failure;
  }

  readable(): void {
    this.#take(MOST_READS_AT_ONCE, Infinity);
  }

  /** Tells of everything that was sent until `untilNs`. */
  catchUp(untilNs: number): void {
    this.#take(Infinity, untilNs);
  }

  #take(most: number, untilNs: number): void {
    this.#toldNs = 0;
    for (let reads = 0; reads < most && this.#toldNs <= untilNs && !this.#isClosed; reads++) {
      const length = libc.read(this.descriptor, this.#buffer, READ_BYTES);
      if (length <= 0) return;
      this.#parse(this.#rest + this.#buffer.toString('latin1', 0, length));
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    writeQuietly(`${this.#directory}/${EVENT}/enable`, '0');
    libc.close(this.descriptor);
    removeInstance(this.#directory);
    this.#tracefs.close();
  }

  #parse(text: string): void {
    let parsed = 0;
    const found = [...text.matchAll(LINE)];
    const last = found.at(-1);
    if (last !== undefined) parsed = last.index + last[0].length;
    // Before a call: it may read on.
    this.#rest = text.slice(Math.max(parsed, text.length - LONGEST_LINE));
    for (const [, seconds, microseconds, signal, thread] of found) {
      if (this.#isClosed) return;
      const pid = this.#processOf(Number(thread));
      const timeNs = Number(seconds) * 1e9 + (Number(microseconds) + 1) * NANOSECONDS_PER_MICROSECOND - 1;
      this.#toldNs = timeNs;
      if (pid > 0) this.#listener(pid, Number(signal), timeNs);
    }
  }

  #processOf(thread: number): number {
    const nowMs = performance.now();
    if (nowMs >= this.#forgetAtMs) {
      this.#forgetAtMs = nowMs + REMEMBER_MS;
      this.#processOfThread.clear();
    }
    let pid = this.#processOfThread.get(thread);
    if (pid === undefined) {
      // One that has been waited for can be a process only: its watchers know it still.
      pid = processStatus(thread)?.tgid ?? thread;
      this.#processOfThread.set(thread, pid);
    }
    return pid;
  }
}

function isFirstPidNamespace(): boolean {
  try {
    return readlinkSync('/proc/self/ns/pid') === FIRST_PID_NAMESPACE;
  } catch {
    return false;
  }
}

function writeQuietly(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch {
    // It is gone, and what was to be ended with it.
  }
}

function removeInstance(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Somebody reads it; what is left is removed when the next instance is made.
  }
}

/** Instances whose process is gone, also one of an earlier process with our number. */
function removeRemains(instances: string): void {
  for (const name of readdirSync(instances)) {
    const pid = INSTANCE_NAME.exec(name)?.[1];
    if (pid === undefined || (Number(pid) !== process.pid && existsSync(`/proc/${pid}`))) continue;
    removeInstance(`${instances}/${name}`);
  }
}
