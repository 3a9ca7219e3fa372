import type { Sleeper, SleepEnd, Watch } from '../../../kern/sleeper.ts';
import type { FileCensus } from './file-census.ts';
import type { FileSeen, ProcessView } from './process-view.ts';
import { parseSleepingCall, type SleepingCall } from './sleeping-call.ts';
import type { Architecture } from './system-calls.ts';
import { readWatched, type WatchedDescriptor } from './watched-files.ts';

export interface ProcessQuestion {
  readonly pid: number;
  readonly uid: number;
  readonly deviceMinor: number;
  readonly view: ProcessView;
  readonly architecture: Architecture;
  readonly census: FileCensus;
  /** Threads that are blocked in the mount. */
  readonly isBlocked: ReadonlySet<number>;
}

const MOST_DESCRIPTORS = 4096;
const MOST_THREADS = 64;
/** Rows of one process. */
const MOST_WATCHES = 256;
const SIGALRM = 14;
const SIGCHLD = 17;
const SIGIO = 29;

interface ThreadSeen {
  readonly thread: number;
  readonly call: SleepingCall;
  readonly switches: number;
}

/** The sleeping threads of a process that tell something; none when it has changed while it was looked at, or cannot be looked at. */
export function lookAtProcess(question: ProcessQuestion): Sleeper[] {
  const { pid, uid, view, isBlocked } = question;
  const listed = view.threads(pid, MOST_THREADS);
  if (listed?.isWhole !== true) return [];
  const seen: ThreadSeen[] = [];
  const others: number[] = [];
  for (const thread of listed.numbers) {
    const one = isBlocked.has(thread) ? null : lookAtThread(question, thread);
    if (one === null) others.push(thread);
    else seen.push(one);
  }
  const busy = seen.filter(({ call }) => !call.isIdle);
  // Of those that wait for each other only, one stands for all.
  const shown = busy.length > 0 ? busy : seen.slice(0, 1);
  if (shown.length === 0) return [];
  const files = new MountFiles(question);
  if (!files.isKnown) return [];
  const ends = signalEnds(question, listed.numbers);
  const sleepCount = seen.reduce((sum, { switches }) => sum + switches, 0);
  const command = view.command(pid);
  const sleepers = shown.map(({ thread, call }): Sleeper => {
    const { watches, ends: own } = watchesOf(call, files, question);
    return {
      thread,
      process: pid,
      uid,
      command: command ?? '-',
      call: call.name ?? '-',
      watches,
      held: files.inodes,
      ends: [...new Set([...own, ...ends])],
      others,
      sleepCount,
    };
  });
  // What was read belongs together only if nothing has run meanwhile.
  const isUnchanged = seen.every(
    ({ thread, switches }) => switchesOf(view.threadText(pid, thread, 'status')) === switches,
  );
  return isUnchanged && command !== null ? withThreads(sleepers) : [];
}

/** A thread that may do something by itself makes the others' sleep uncertain too. */
function withThreads(sleepers: readonly Sleeper[]): Sleeper[] {
  const uncertain = sleepers.filter(({ ends }) => ends.length > 0);
  return sleepers.map((sleeper) => {
    const hasOther = uncertain.some((other) => other !== sleeper);
    return hasOther ? { ...sleeper, ends: [...sleeper.ends, 'threads' as const] } : sleeper;
  });
}

/** Null when the thread does not sleep, or may not be looked at. */
function lookAtThread({ pid, view, architecture }: ProcessQuestion, thread: number): ThreadSeen | null {
  const switches = switchesOf(view.threadText(pid, thread, 'status'));
  const text = view.threadText(pid, thread, 'syscall');
  const place = view.threadText(pid, thread, 'wchan') ?? '';
  if (switches === null) return null;
  const call = text === null ? callAtPlace(place) : parseSleepingCall(text, place, architecture);
  return call === null ? null : { thread, call, switches };
}

/** The call by the function of the kernel alone, for who may not trace the process. */
function callAtPlace(place: string): SleepingCall | null {
  if (!/[a-z]/.test(place)) return null;
  const name = /ep_poll|epoll/.test(place) ? 'epoll_wait' : /^do_wait\b/.test(place) ? 'wait4' : null;
  return { name, source: null, hasTimeout: false, isIdle: false };
}

/** Null when the thread is not in an interruptible sleep. */
function switchesOf(status: string | null): number | null {
  if (status === null || !/^State:\tS/m.test(status)) return null;
  const count = (name: string): number => Number(new RegExp(`^${name}:\\t(\\d+)$`, 'm').exec(status)?.[1]);
  const sum = count('voluntary_ctxt_switches') + count('nonvoluntary_ctxt_switches');
  return Number.isNaN(sum) ? null : sum;
}

/** Signals that a process may have arranged for, and that end any call. */
function signalEnds({ pid, view }: ProcessQuestion, threads: readonly number[]): SleepEnd[] {
  const status = view.threadText(pid, pid, 'status') ?? '';
  const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? 'ffffffffffffffff'}`);
  const catches = (signal: number): boolean => ((caught >> BigInt(signal - 1)) & 1n) === 1n;
  const ends: SleepEnd[] = [];
  // Nobody can see whether an alarm is set.
  if (catches(SIGALRM) || view.hasTimers(pid)) ends.push('timeout');
  const mayHaveChildren = (): boolean =>
    threads.some((thread) => view.threadText(pid, thread, 'children') !== '');
  if (catches(SIGIO) || (catches(SIGCHLD) && mayHaveChildren())) ends.push('others');
  return ends;
}

/** The descriptors of a process that lead into the mount, and what its others are. */
class MountFiles {
  readonly inodes: readonly number[];
  readonly isKnown: boolean;
  readonly #files = new Map<number, FileSeen>();
  readonly #question: ProcessQuestion;

  constructor(question: ProcessQuestion) {
    this.#question = question;
    const { pid, view } = question;
    const listed = view.descriptors(pid, MOST_DESCRIPTORS);
    this.isKnown = listed?.isWhole === true;
    const inodes = new Set<number>();
    for (const descriptor of listed?.numbers ?? []) {
      const file = view.file(pid, descriptor);
      if (file === null) continue;
      this.#files.set(descriptor, file);
      if (this.isOfMount(file)) inodes.add(file.inode);
    }
    this.inodes = [...inodes];
  }

  get(descriptor: number): FileSeen | undefined {
    return this.#files.get(descriptor);
  }

  isOfMount({ deviceMajor, deviceMinor }: FileSeen): boolean {
    return deviceMajor === 0 && deviceMinor === this.#question.deviceMinor;
  }
}

interface WatchesSeen {
  readonly watches: readonly Watch[];
  readonly ends: readonly SleepEnd[];
}

/** What a call watches in the mount, and what else may end it. */
function watchesOf(call: SleepingCall, files: MountFiles, question: ProcessQuestion): WatchesSeen {
  const { pid, view, census } = question;
  const ends = new Set<SleepEnd>(call.hasTimeout ? ['timeout'] : []);
  if (call.isIdle) return { watches: [], ends: [] };
  if (call.name === null) return { watches: [], ends: [...ends.add('unknown')] };
  if (call.source === null) {
    if (!call.hasTimeout) ends.add('others');
    return { watches: [], ends: [...ends] };
  }
  const epollInfo = (descriptor: number): string | null =>
    view.link(pid, descriptor) === 'anon_inode:[eventpoll]' ? view.info(pid, descriptor) : null;
  const watched = readWatched(
    call.source,
    (address, sizeBytes) => view.memory(pid, address, sizeBytes),
    epollInfo,
  );
  if (watched === null) return { watches: [], ends: [...ends.add('unknown')] };
  const watches = new Map<string, Watch>();
  for (const one of watched) {
    const file = files.get(one.descriptor);
    if (file === undefined || !isFileOf(one, file)) {
      ends.add('unknown');
    } else if (files.isOfMount(file)) {
      const directions = directionsOf(one, view.access(pid, one.descriptor));
      if (directions === null) ends.add('unknown');
      for (const direction of directions ?? [])
        watches.set(`${file.inode} ${direction}`, { inode: file.inode, direction });
    } else if (!census.isOwn(pid, one.descriptor, file)) {
      ends.add('others');
    }
  }
  if (watches.size > MOST_WATCHES) ends.add('unknown');
  return { watches: [...watches.values()].slice(0, MOST_WATCHES), ends: [...ends] };
}

/** Whether the file behind a descriptor is still the one that an epoll watches under its number. */
function isFileOf({ file: watched }: WatchedDescriptor, file: FileSeen): boolean {
  return (
    watched === null ||
    (watched.inode === file.inode &&
      watched.deviceMajor === file.deviceMajor &&
      watched.deviceMinor === file.deviceMinor)
  );
}

/** Errors and the other side's end are always watched: a writer brings the former to readers, and a reader to writers. */
function directionsOf(
  { forReading, forWriting }: WatchedDescriptor,
  access: { readonly isReadable: boolean; readonly isWritable: boolean } | null,
): Watch['direction'][] | null {
  if (access === null) return null;
  const { isReadable, isWritable } = access;
  const directions: Watch['direction'][] = [];
  if (isReadable && (forReading || !(forWriting && isWritable))) directions.push('in');
  if (isWritable && (forWriting || !isReadable)) directions.push('out');
  return directions;
}
