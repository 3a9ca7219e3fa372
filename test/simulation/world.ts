import { assert } from '../../src/kern/assert.ts';
import {
  EAGAIN,
  EDQUOT,
  EINTR,
  EIO,
  EMFILE,
  ENFILE,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOSPC,
  EPIPE,
} from '../../src/kern/errno.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import type { Sleeper } from '../../src/kern/sleeper.ts';
import type { PipeEnd } from '../../src/pipe/end.ts';
import type { PipeOptions } from '../../src/pipe/pipe-options.ts';
import type { PipePair } from '../../src/pipe/pair.ts';
import type { Segment } from '../../src/shm/segment.ts';
import type { MappingsSeen } from '../../src/host/linux/processes/mappings.ts';
import { MapperQuery } from '../../src/transports/common/mapper-query.ts';
import { SleeperQuery } from '../../src/transports/common/sleeper-query.ts';
import type { ServedDevice } from '../../src/transports/raw/device/device.ts';
import type { RingDevice, WatchedDevice } from '../../src/transports/raw/ring-device/ring-device.ts';
import type { GatherUio } from '../../src/transports/raw/device/gather-uio.ts';
import { Opcode, OUT_HEADER_BYTES } from '../../src/transports/raw/protocol/constants.ts';
import type { Reply } from '../../src/transports/raw/protocol/reply.ts';
import type { ReceiveBuffer } from '../../src/transports/raw/protocol/request.ts';
import { rawTransport } from '../../src/transports/raw/raw-transport.ts';
import { Session } from '../../src/transports/raw/session/session.ts';
import { FileSystem } from '../../src/tree/file-system.ts';
import { Random } from '../support/random.ts';
import { SimulatedHost, SimulatedProcessEvents } from './host.ts';
import { type KernelNode, SimulatedKernel } from './kernel.ts';
import { SimulatedMemory } from './memory.ts';
import { ProcessTable, SimulatedProcess } from './processes.ts';
import { addRing } from './ring.ts';
import { Stream } from './stream.ts';

const LONGEST_MESSAGE_BYTES = 2 * 1024 * 1024;
const SHADOW_BYTES = 256 * 1024;
const PROCESSES = 4;
/** What calls fail with when faults hit them, by themselves or by what they leave. */
const FAULT_ERRORS: readonly number[] = [-EINTR, -EIO, -EAGAIN, -EMFILE, -ENOSPC, -ENFILE, -EDQUOT, -EPIPE];

/** The directories that every program finds its way from. */
export interface Directories {
  root: KernelNode;
  pipes: KernelNode;
  /** pipes/sub, which may be removed: names in it are then ENOENT. */
  nested: KernelNode;
  pairs: KernelNode;
  kqueues: KernelNode;
  shm: KernelNode;
  info: KernelNode;
  tunables: KernelNode;
}

export interface WorldOptions {
  readonly seed: number;
  readonly tally: Map<string, number>;
  readonly trace: ((line: string) => void) | null;
}

/** A server, the machine that it runs on, and everything that the checks need to know of both. */
export class World {
  readonly table = new ProcessTable();
  readonly host = new SimulatedHost(this.table);
  readonly events = new SimulatedProcessEvents();
  readonly memory = new SimulatedMemory();
  readonly kernel: SimulatedKernel;
  readonly device: SimulatedDevice;
  /** A ring before the device, in a quarter of the worlds. */
  readonly ring: RingDevice | null;
  readonly fileSystem: FileSystem;
  readonly session: Session;
  readonly mappers: MapperQuery;
  readonly sleepers: SleeperQuery;
  readonly streams = new Map<PipeEnd, Stream>();
  readonly pairs = new Set<PipePair>();
  readonly directories: Directories;
  /** Chance within the current step. */
  readonly random = new Random(0);
  #shadows = new WeakMap<Segment, { bytes: Uint8Array }>();
  /** The main thread has been asked who maps what, and has not answered. */
  mapperQuestions = 0;
  /** What it has found out since; null for nothing. */
  mail: (MappingsSeen | null)[] = [];
  /** The same for who sleeps outside of the mount. */
  sleeperQuestions = 0;
  sleeperMail: (readonly Sleeper[] | null)[] = [];
  #lastPid = 1000;
  readonly liveInodesAtStart: number;
  /** Whether processes add faults on demand. The others have errors of their own only. */
  readonly hasFaults: boolean;
  /** What a check of an answer has found. */
  failure: Error | null = null;

  constructor({ seed, tally, trace }: WorldOptions) {
    this.hasFaults = new Random(seed ^ 0x0fa1).oneIn(3);
    this.kernel = new SimulatedKernel(tally);
    this.kernel.trace = trace;
    this.device = new SimulatedDevice(this, seed);
    this.ring = seed % 8 < 2 ? addRing(this, this.device) : null;
    // Half of the worlds run what is woken in the order of its waking, as the real one does; the others in any order.
    const kernel = new Kernel(this.host, seed % 2 === 0 ? null : (count) => this.random.below(count));
    this.memory.attachTo(kernel);
    const identity = { uid: 0, gid: 0, version: '9.9', pid: 1 };
    this.fileSystem = new FileSystem(kernel, {
      identity,
      transport: rawTransport(() => this.session, {
        findMappers: () => this.mappers.ask(),
        findSleepers: () => this.sleepers.ask(),
        findHandle: null,
      }),
      memory: this.memory,
      processEvents: this.events,
    });
    this.table.fileSystem = this.fileSystem;
    const { pipes, shm } = this.fileSystem;
    pipes.budget.maximumBytes = new Random(seed).pick([60_000, 120_000, 500_000, 500_000, 10_000_000]);
    pipes.policy = {
      created: (pair) => {
        this.pairs.add(pair);
        for (const end of pair.ends) {
          const stream = new Stream(end);
          stream.isLoose = pair.fifo !== null && !keepsStream(pair.fifo.options);
          this.streams.set(end, stream);
        }
      },
      destroyed: (pair) => {
        this.pairs.delete(pair);
        for (const end of pair.ends) this.streams.delete(end);
      },
    };
    kernel.sysctls.preset('kern.ipc.shmmni', 8);
    kernel.sysctls.preset('kern.ipc.shmmax', 64 * 1024);
    assert(shm.table.slotCount === 8, 'tunables are set before the mount');
    this.session = new Session(this.fileSystem, this.served);
    this.session.backings.wanted = seed % 3 === 0 ? 'cached' : 'auto';
    this.mappers = new MapperQuery(kernel, () => {
      this.mapperQuestions++;
    });
    this.sleepers = new SleeperQuery(kernel, () => {
      this.sleeperQuestions++;
    });
    this.liveInodesAtStart = this.fileSystem.context.liveInodes;
    const root = { nodeid: 1, type: 0o040000, lookups: Infinity, sizeBytes: 0, attributeVersion: 0, pins: 1 };
    const unknown = root;
    this.directories = {
      root,
      pipes: unknown,
      nested: unknown,
      pairs: unknown,
      kqueues: unknown,
      shm: unknown,
      info: unknown,
      tunables: unknown,
    };
    for (let index = 0; index < PROCESSES; index++) this.addProcess(index % 2 === 0 ? 0 : 1000);
  }

  /** What the loop is given. */
  get served(): ServedDevice {
    return this.ring ?? this.device;
  }

  addProcess(uid: number): SimulatedProcess {
    const process = new SimulatedProcess(++this.#lastPid, uid, (ended) => {
      this.#processEnded(ended);
    });
    this.table.processes.push(process);
    this.events.alive.add(process.pid);
    return process;
  }

  #processEnded(process: SimulatedProcess): void {
    const index = this.table.processes.indexOf(process);
    if (index < 0) return;
    this.table.processes.splice(index, 1);
    for (const file of process.descriptors.splice(0)) this.kernel.close(file, process.pid);
    for (const thread of process.threads) thread.end(this.kernel);
    this.events.post({ kind: 'exit', pid: process.pid, status: process.pid % 256 });
    this.addProcess(process.uid);
  }

  /** exit or kill: what blocks is interrupted, then the descriptors are closed. */
  exit(process: SimulatedProcess): void {
    process.isExiting = true;
    for (const thread of process.threads) {
      const { unique } = thread;
      if (unique === 0) thread.end(this.kernel);
      else this.kernel.queue.push(() => this.kernel.interrupt(unique));
    }
  }

  /** What a segment holds, as far as writes have told. */
  shadowOf(segment: Segment): { bytes: Uint8Array } {
    let shadow = this.#shadows.get(segment);
    if (shadow === undefined) this.#shadows.set(segment, (shadow = { bytes: new Uint8Array(SHADOW_BYTES) }));
    return shadow;
  }

  /** Holds that an error is one that this call may have. Once memory has been refused, that may be why. */
  expect(error: number, call: string, ...errors: number[]): void {
    const isRefused = error === -ENOMEM && this.host.memoryRefusals > 0;
    const isInjected = this.hasFaults && FAULT_ERRORS.includes(error);
    assert(isRefused || isInjected || errors.includes(error), `${call} does not fail with ${error}`);
  }
}

/** Whether every byte comes out once and in order, whatever readers do. */
export function keepsStream({ framing, overflow, fanout, jobserver, timeoutMs }: PipeOptions): boolean {
  return framing === 'bytes' && overflow === 'block' && !fanout && !jobserver && timeoutMs === 0;
}

/** How many answers the kernel copies at a time while the server goes on. */
const MAX_UNDER_WAY = 3;

interface AnswerUnderWay {
  readonly bytes: Uint8Array;
  readonly asTheyWere: Uint8Array;
  readonly buffer: ReceiveBuffer;
}

/** /dev/fuse in memory. What comes next is the driver's affair. */
export class SimulatedDevice implements WatchedDevice {
  readonly #world: World;
  readonly #random: Random;
  readonly #message = new Uint8Array(LONGEST_MESSAGE_BYTES);
  /** The next request's length, or a negative errno. */
  next: () => number = () => -ENODEV;
  readonly backings = new Set<number>();
  #lastBacking = 0;
  /** The next attempt to name a backing file fails. */
  refusesBacking = false;

  constructor(world: World, seed: number) {
    this.#world = world;
    this.#random = new Random(seed);
  }

  /** Messages and negative errnos that come here although there is a ring. */
  readonly besideRing: (Uint8Array | number)[] = [];
  isBesideRing = (): boolean => false;
  readonly watchDescriptor = 99;

  receive(buffer: ReceiveBuffer): number {
    if (this.isBesideRing()) {
      const next = this.besideRing.shift() ?? -EAGAIN;
      if (typeof next === 'number') return next;
      buffer.bytes.set(next);
      return next.length;
    }
    this.#finish(this.#random.below(MAX_UNDER_WAY + 1));
    this.#world.kernel.use(buffer);
    return this.next();
  }

  /** Takes an answer from a ring. */
  take(message: Uint8Array): void {
    this.#take(message);
  }

  send(reply: Reply, length: number): boolean {
    return this.#take(reply.bytes.subarray(0, length));
  }

  sendGathered(reply: Reply, uio: GatherUio): boolean {
    const message = this.#message;
    message.set(reply.bytes.subarray(0, OUT_HEADER_BYTES));
    uio.copyTo(message, OUT_HEADER_BYTES);
    return this.#take(message.subarray(0, OUT_HEADER_BYTES + uio.total));
  }

  /** What a check throws here the session would take for a failure of its own. */
  #take(message: Uint8Array): boolean {
    try {
      return this.#world.kernel.take(message);
    } catch (error) {
      this.#world.failure ??= error as Error;
      return true;
    }
  }

  /** Small, so that many answers are large. */
  readonly backgroundBytes = 10_000;
  onSent: (buffer: ReceiveBuffer) => void = () => undefined;
  readonly #underWay: AnswerUnderWay[] = [];

  sendInBackground(reply: Reply, uio: GatherUio, buffer: ReceiveBuffer): boolean {
    const { kernel } = this.#world;
    if (this.#underWay.length === MAX_UNDER_WAY) return false;
    kernel.count('answer in the background');
    const bytes = uio.sources[0]!.subarray(uio.starts[0], uio.starts[0]! + uio.total);
    this.#underWay.push({ bytes, asTheyWere: bytes.slice(), buffer });
    // Its reader goes on; that nothing gets where the bytes are is looked at when they have been copied.
    this.sendGathered(reply, uio);
    return true;
  }

  /** The oldest answers have been sent, as many as `leave` does not leave. */
  #finish(leave: number): void {
    while (this.#underWay.length > leave) {
      const { bytes, asTheyWere, buffer } = this.#underWay.shift()!;
      if (Buffer.compare(bytes, asTheyWere) !== 0) {
        this.#world.failure ??= new Error('bytes that are being sent were overwritten');
      }
      this.onSent(buffer);
    }
  }

  finishAnswers(): void {
    this.#finish(0);
  }

  openBacking(descriptor: number): number {
    assert(descriptor > 0, 'a backing file is memory');
    if (this.refusesBacking) {
      this.refusesBacking = false;
      return -EIO;
    }
    this.backings.add(++this.#lastBacking);
    return this.#lastBacking;
  }

  closeBacking(id: number): void {
    assert(this.backings.delete(id), 'a backing file is given back once');
  }

  negotiateRing(): boolean {
    return false;
  }

  facts(): readonly [] {
    return [];
  }

  flush(): void {
    // Each answer is sent at once.
  }

  close(): void {
    // Nothing is held.
  }

  get hasSources(): boolean {
    return this.#world.events.hasNews;
  }

  wait(timeoutMs: number): boolean {
    const { host, events } = this.#world;
    if (timeoutMs > 0) host.clock.nowMs += Math.min(timeoutMs, 3);
    return events.tell();
  }
}

/** What read(2) of the device says now and then, beside requests. */
export const harmlessErrors: readonly number[] = [-EINTR, -ENOENT, -EAGAIN];

export const INIT_FLAGS = 0xffff_ffff;

/** struct fuse_init_in, of a kernel that offers everything. */
export function initCall(minor: number) {
  return {
    opcode: Opcode.INIT,
    nodeid: 0,
    body: (writer: { u32(value: number): unknown; bytes(bytes: Uint8Array): unknown }): void => {
      for (const word of [7, minor, 131_072, INIT_FLAGS, INIT_FLAGS]) writer.u32(word);
      writer.bytes(new Uint8Array(44));
    },
  };
}
