import type { Resource } from '../../src/kern/accounting.ts';
import { assert } from '../../src/kern/assert.ts';
import type { Clock, Timespec } from '../../src/kern/clock.ts';
import { type Credentials, rootCredentials } from '../../src/kern/credentials.ts';
import { EPERM, ESRCH } from '../../src/kern/errno.ts';
import { File, FREAD, FWRITE, FNONBLOCK } from '../../src/kern/file.ts';
import {
  type CallerDescription,
  type Host,
  NO_IDENTITY,
  ProcessEnding,
  type ResourceUsage,
  type SignalOwner,
} from '../../src/kern/host.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { EV_ONESHOT, type FilterOps, type Klist, type Knote } from '../../src/kern/klist.ts';
import type { Operation } from '../../src/kern/operation.ts';
import type { Poller } from '../../src/kern/poll.ts';
import { type Chooser, Thread, ThreadState } from '../../src/kern/scheduler.ts';
import { MemoryReadUio, type Segment, WriteUio } from '../../src/kern/uio.ts';
import { anonymousPipeOps, type DescriptorTable, pipe2 } from '../../src/pipe/anonymous.ts';
import type { PipeEnd } from '../../src/pipe/end.ts';
import { Fifo } from '../../src/pipe/fifo.ts';
import { queueFor } from '../../src/pipe/options/queue.ts';
import { PipeSubsystem } from '../../src/pipe/subsystem.ts';
import { checkAtEnd } from './checked.ts';
import { Ledger } from './ledger.ts';

/** Time that moves only when a test says so. */
export class FakeClock implements Clock {
  nowMs = 1000;

  monotonicMs(): number {
    return this.nowMs;
  }

  realtime(): Timespec {
    return { seconds: Math.floor(this.nowMs / 1000), nanoseconds: (this.nowMs % 1000) * 1_000_000 };
  }

  advance(ms: number): void {
    this.nowMs += ms;
  }
}

/** A host that records what the kernel asks of it. Processes 1 to 999 exist; those below 100 belong to others. */
export class FakeHost implements Host {
  readonly clock = new FakeClock();
  readonly memoryBytes = 32 * 1024 ** 3;
  isOutOfMemory = false;
  readonly logged: string[] = [];
  readonly sigio: number[] = [];
  readonly sigpipe: number[] = [];

  hasMemory(): boolean {
    return !this.isOutOfMemory;
  }

  signalOwner(id: number, credentials: Credentials): SignalOwner | number {
    const process = Math.abs(id);
    if (process > 999) return -ESRCH;
    if (process < 100 && credentials.uid !== 0) return -EPERM;
    return { id, credentials };
  }

  postSigio(owner: SignalOwner): void {
    this.sigio.push(owner.id);
  }

  postSigpipe(threadId: number): void {
    this.sigpipe.push(threadId);
  }

  /** Signals that were sent to callers. Threads of 900 and more ignore them. */
  readonly signalled: [threadId: number, signal: string][] = [];

  signalCaller(threadId: number, signal: string, credentials: Credentials): number {
    const owner = this.signalOwner(threadId, credentials);
    if (typeof owner === 'number') return owner;
    this.signalled.push([threadId, signal]);
    return threadId < 900 ? 1 : 0;
  }

  processOf(threadId: number): number {
    return threadId;
  }

  /** How processes have ended; the others run. */
  readonly endings = new Map<number, ProcessEnding>();

  endingOf(threadId: number): ProcessEnding {
    return this.endings.get(threadId) ?? ProcessEnding.None;
  }

  describeThread(threadId: number): CallerDescription {
    return { process: threadId, parent: 1, command: 'fake' };
  }

  describeDescriptor(): null {
    return null;
  }

  identityOf(): number {
    return NO_IDENTITY;
  }

  supplementaryGroups(): readonly number[] {
    return [];
  }

  resourceUsage(): ResourceUsage {
    return { residentBytes: 50_000_000, heapBytes: 5_000_000, processorSeconds: 1.5, startedSeconds: 1000 };
  }

  log(message: string): void {
    this.logged.push(message);
  }
}

export const user: Credentials = { uid: 1000, gid: 1000, pid: 500 };

/** The calls of a kernel that have not ended. */
const threads = new WeakMap<Kernel, Set<Thread>>();

function threadsOf(kernel: Kernel): Set<Thread> {
  let own = threads.get(kernel);
  if (own === undefined) threads.set(kernel, (own = new Set()));
  return own;
}

/** A call in progress: its result once it has ended, and means to signal it. */
export class Call {
  readonly #kernel: Kernel;
  readonly thread = new Thread();
  result: number | null = null;

  constructor(kernel: Kernel, operation: Operation<number>) {
    this.#kernel = kernel;
    this.thread.operation = operation;
    threadsOf(kernel).add(this.thread);
    this.thread.onExit = (result) => {
      assert(this.result === null, 'an operation is answered once');
      this.result = result;
      threadsOf(kernel).delete(this.thread);
    };
  }

  get isBlocked(): boolean {
    return this.thread.state === ThreadState.Sleeping;
  }

  /** What it sleeps for (`piperd`), or null. */
  get waitMessage(): string | null {
    return this.thread.options?.message ?? null;
  }

  /** Delivers a signal and lets everything run that can. */
  signal(): void {
    this.#kernel.scheduler.interrupt(this.thread);
    this.#kernel.scheduler.run();
  }
}

/** A read in progress, and the bytes it has got. */
export class ReadCall extends Call {
  readonly #buffer: Uint8Array;

  constructor(kernel: Kernel, operation: Operation<number>, buffer: Uint8Array) {
    super(kernel, operation);
    this.#buffer = buffer;
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, Math.max(this.result ?? 0, 0));
  }

  get text(): string {
    return Array.from(this.bytes, (byte) => String.fromCharCode(byte)).join('');
  }
}

/** The pipe end behind an open file: its own ring (an anonymous pair's files write to the other end's). */
export function endOf(file: File): PipeEnd {
  return file.data as PipeEnd;
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** `count` bytes that differ from their neighbours, so that misplaced ones show. */
export function pattern(count: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length: count }, (_, index) => (index * 7 + (index >> 8) * 13 + seed) & 0xff);
}

/**
 * A kernel with pipes under the deterministic scheduler. Calls made through `call` run at once until they end or sleep, and
 * then everything that they woke runs; `spawn` leaves the order to the chooser.
 */
export class World {
  readonly host = new FakeHost();
  readonly kernel: Kernel;
  readonly pipes: PipeSubsystem;

  /** PIPE_BUF is FreeBSD's 512 here unless a test wants the host's (decision D11). */
  constructor(options: { choose?: Chooser; pipeBufBytes?: number; maxPipeKvaBytes?: number } = {}) {
    this.kernel = new Kernel(this.host, options.choose ?? null);
    this.pipes = new PipeSubsystem(this.kernel, queueFor);
    this.pipes.pipeBufBytes = options.pipeBufBytes ?? 512;
    if (options.maxPipeKvaBytes !== undefined) this.pipes.budget.maximumBytes = options.maxPipeKvaBytes;
    checkAtEnd(this);
  }

  /** Repeats the invariants, and adds up what users have: what accounts say is what there is. After every test, and any time. */
  checkInvariants(): void {
    this.pipes.checkInvariants();
    this.kernel.callouts.checkInvariants();
    const ledger = new Ledger();
    this.addTo(ledger);
    ledger.check(this.kernel.accounts);
  }

  /** Adds what is charged for. */
  protected addTo(ledger: Ledger): void {
    ledger.addPipes(this.pipes);
    ledger.addThreads(threadsOf(this.kernel));
  }

  call(operation: Operation<number>): Call {
    return this.#start(new Call(this.kernel, operation));
  }

  /** A call that must not sleep; its result. */
  now(operation: Operation<number>): number {
    const call = this.call(operation);
    assert(call.result !== null, `the call does not sleep, but it waits for ${call.waitMessage ?? ''}`);
    return call.result;
  }

  spawn(operation: Operation<number>): Call {
    const call = new Call(this.kernel, operation);
    this.kernel.scheduler.enqueue(call.thread);
    return call;
  }

  read(file: File, count: number): ReadCall {
    const buffer = new Uint8Array(count);
    return this.#start(
      new ReadCall(this.kernel, file.ops.read(file, new MemoryReadUio([buffer]), user), buffer),
    );
  }

  /** A read by a process. */
  readAs(file: File, count: number, credentials: Credentials): ReadCall {
    const buffer = new Uint8Array(count);
    const operation = file.ops.read(file, new MemoryReadUio([buffer]), credentials);
    return this.#start(new ReadCall(this.kernel, operation, buffer));
  }

  readv(file: File, segments: Segment[]): Call {
    return this.call(file.ops.read(file, new MemoryReadUio(segments), user));
  }

  write(file: File, data: Uint8Array | string | number): Call {
    const bytes = typeof data === 'string' ? bytesOf(data) : typeof data === 'number' ? pattern(data) : data;
    return this.writev(file, [bytes]);
  }

  writev(file: File, segments: Segment[]): Call {
    return this.call(file.ops.write(file, new WriteUio(segments), user));
  }

  /** A blocking write as the buffered path sees it: segments too short for a direct write. */
  writeBuffered(file: File, data: Uint8Array): Call {
    const segments: Segment[] = [];
    for (let at = 0; at < data.length; at += 4096) segments.push(data.subarray(at, at + 4096));
    return this.writev(file, segments);
  }

  close(file: File): Call {
    return this.call(file.ops.close(file));
  }

  /** poll(2): the bits that hold now. */
  poll(file: File, events: number, poller: Poller | null = null): number {
    return file.ops.poll(file, events, poller, user);
  }

  /** ioctl(2) with an int: the result, and the int afterwards. */
  ioctl(file: File, command: number, value = 0, credentials = user): { result: number; value: number } {
    const argument = { value };
    const result = file.ops.ioctl(file, command, argument, credentials);
    return { result, value: argument.value };
  }

  /** What all users have of a resource together. */
  charged(resource: Resource): number {
    return [...this.kernel.accounts.all()].reduce((sum, account) => sum + account.used(resource), 0);
  }

  /** The value of a sysctl that exists. */
  sysctl(name: string): number {
    return this.kernel.sysctls.get(name)!.get();
  }

  /** Sets a sysctl as root; it must be accepted. */
  tune(name: string, value: number): void {
    const error = this.kernel.sysctls.write(name, value, rootCredentials);
    assert(error === 0, `${name} takes ${value}`);
  }

  fifo(): Fifo {
    const now = this.host.clock.realtime();
    return new Fifo(this.pipes, { accessed: now, modified: now, changed: now });
  }

  /** An open(2) of a FIFO in progress; `file` is usable once it has returned 0. */
  startOpen(fifo: Fifo, mode: string, credentials: Credentials = user): { file: File; call: Call } {
    const file = new File(openFlags(mode), anonymousPipeOps, credentials);
    return { file, call: this.call(fifo.open(file)) };
  }

  /** An open that must succeed at once. Modes: r, w, rw, each with n for O_NONBLOCK. */
  open(fifo: Fifo, mode: string): File {
    const { file, call } = this.startOpen(fifo, mode);
    assert(call.result === 0, `open(${mode}) succeeds at once`);
    return file;
  }

  /** The open that makes a FIFO's name. */
  create(fifo: Fifo, mode: string): { file: File; result: number } {
    const file = new File(openFlags(mode), anonymousPipeOps, user);
    return { file, result: fifo.openAtOnce(file, true) };
  }

  /** A FIFO with one reader and one writer, opened in that order. */
  fifoEnds(readMode = 'rn', writeMode = 'w'): { fifo: Fifo; reader: File; writer: File } {
    const fifo = this.fifo();
    const reader = this.open(fifo, readMode);
    return { fifo, reader, writer: this.open(fifo, writeMode) };
  }

  /** pipe2 that succeeds. */
  pair(nonBlocking = false): readonly [File, File] {
    const files = pipe2(this.pipes, unlimitedTable, nonBlocking ? 0x0004 : 0, user);
    assert(typeof files !== 'number', 'pipe2 succeeds');
    return files;
  }

  #start<C extends Call>(call: C): C {
    this.kernel.scheduler.start(call.thread);
    this.kernel.scheduler.run();
    return call;
  }
}

export const unlimitedTable: DescriptorTable = {
  allocate: () => 3,
  release: () => undefined,
  store: () => 0,
};

export function openFlags(mode: string): number {
  let flags = 0;
  if (mode.includes('r')) flags |= FREAD;
  if (mode.includes('w')) flags |= FWRITE;
  if (mode.includes('n')) flags |= FNONBLOCK;
  return flags;
}

/** Counts how often those who watch `end` are told to look again, whatever they find then. */
export function countNotifications(end: PipeEnd): () => number {
  let count = 0;
  end.klist.add({
    filter: 0,
    file: new File(0, anonymousPipeOps, user),
    flags: 0,
    fflags: 0,
    savedFflags: 0,
    data: 0,
    filterOps: {
      detach: () => undefined,
      event: () => {
        count++;
        return false;
      },
    },
    hook: end,
    klist: null,
    newer: null,
    older: null,
    activate: () => undefined,
  });
  return () => count;
}

/** A registration that stands for a queue: it remembers activations, and goes after a one-shot delivery. */
export class TestKnote implements Knote {
  readonly filter: number;
  readonly file: File;
  flags = 0;
  fflags = 0;
  readonly savedFflags = 0;
  data = 0;
  filterOps: FilterOps | null = null;
  hook: unknown = null;
  klist: Klist | null = null;
  newer: Knote | null = null;
  older: Knote | null = null;
  activations = 0;

  constructor(file: File, filter: number) {
    this.file = file;
    this.filter = filter;
  }

  /** EV_ADD: registers, and evaluates once as a queue does. 0 or a negative errno. */
  register(): number {
    const result = this.file.ops.kqfilter(this.file, this);
    if (result === 0 && this.isActive()) this.activate();
    return result;
  }

  /** Whether the filter says so now (what a scan asks). */
  isActive(): boolean {
    return this.filterOps!.event(this, 0);
  }

  get isOneShot(): boolean {
    return (this.flags & EV_ONESHOT) !== 0;
  }

  activate(): void {
    this.activations++;
  }

  remove(): void {
    this.filterOps!.detach(this);
  }
}
