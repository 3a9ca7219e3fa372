import { assert } from '../../src/kern/assert.ts';
import { type Credentials, rootCredentials } from '../../src/kern/credentials.ts';
import { EACCES, EFAULT, ENOMEM } from '../../src/kern/errno.ts';
import { type Operation, sleep, type WaitChannel, WakeReason } from '../../src/kern/operation.ts';
import type { Chooser } from '../../src/kern/scheduler.ts';
import type { AddressSpace, MapRequest } from '../../src/shm/address-space.ts';
import { shmexit, shmfork, ShmProcess } from '../../src/shm/attachments.ts';
import { type AttachRequest, shmat, shmdt } from '../../src/shm/shmat.ts';
import { IPC_CREAT } from '../../src/shm/flags.ts';
import { PAGE_SIZE_BYTES } from '../../src/shm/limits.ts';
import { HeapBacking, type SegmentBacking, type SegmentMemory } from '../../src/shm/memory.ts';
import type { Segment, SegmentStatus } from '../../src/shm/segment.ts';
import { ipcRemove, ipcSet, ipcStat, type SegmentChange } from '../../src/shm/shmctl.ts';
import { shmget } from '../../src/shm/shmget.ts';
import { shmLock, shmUnlock } from '../../src/shm/shmlock.ts';
import { ShmSubsystem } from '../../src/shm/subsystem.ts';
import { type Call, user, World } from './engine.ts';
import type { Ledger } from './ledger.ts';

export const PAGE = PAGE_SIZE_BYTES;
/** Neither `user` nor in its group. */
export const stranger: Credentials = { uid: 2000, gid: 2000, pid: 600 };

const hostSleep = { message: 'host', interruptible: true };
const FIRST_ADDRESS = 0x1000_0000;

/** Which of a host's calls fail, and with what. */
interface Fault {
  /** A negative errno, 0 for success. */
  error: number;
  /** Calls that succeed before the error. */
  after: number;
  /** Calls that fail then. */
  times: number;
}

function takeFault(fault: Fault): number {
  if (fault.error === 0) return 0;
  if (fault.after > 0) {
    fault.after--;
    return 0;
  }
  if (fault.times <= 0) return 0;
  fault.times--;
  return fault.error;
}

/** Memory of a segment that takes room only when somebody looks at it. */
export class FakeBacking implements SegmentBacking {
  readonly sizeBytes: number;
  readonly #memory: FakeMemory;
  #heap: HeapBacking | null = null;
  isLocked = false;
  lockCalls = 0;
  unlockCalls = 0;
  isFree = false;

  constructor(memory: FakeMemory, sizeBytes: number) {
    this.#memory = memory;
    this.sizeBytes = sizeBytes;
  }

  get bytes(): Uint8Array {
    this.#heap ??= new HeapBacking(this.sizeBytes);
    return this.#heap.bytes;
  }

  lock(): number {
    assert(!this.isLocked, 'memory is wired once');
    this.lockCalls++;
    const error = takeFault(this.#memory.lockFault);
    this.isLocked = error === 0;
    return error;
  }

  unlock(): void {
    this.unlockCalls++;
    this.isLocked = false;
  }

  free(): void {
    assert(!this.isFree, 'memory is given back once');
    this.isFree = true;
    this.#memory.live.delete(this);
  }
}

/** Memory that can be told to fail and to take its time. */
export class FakeMemory implements SegmentMemory {
  readonly live = new Set<FakeBacking>();
  readonly allocateFault: Fault = { error: 0, after: 0, times: Infinity };
  readonly lockFault: Fault = { error: 0, after: 0, times: Infinity };
  readonly tableFault: Fault = { error: 0, after: 0, times: Infinity };
  /** Allocations sleep here, while there is one. */
  gate: WaitChannel | null = null;
  /** Slots of all tables that are held. */
  tableSlots = 0;

  *allocate(sizeBytes: number): Operation<SegmentBacking | number> {
    assert(sizeBytes % PAGE === 0, 'memory is asked for in pages');
    if (this.gate !== null) yield* sleep(this.gate, { ...hostSleep, interruptible: false });
    const error = takeFault(this.allocateFault);
    if (error !== 0) return error;
    const backing = new FakeBacking(this, sizeBytes);
    this.live.add(backing);
    return backing;
  }

  reserveTable(slotCount: number): number {
    const error = takeFault(this.tableFault);
    if (error === 0) this.tableSlots += slotCount;
    return error;
  }

  releaseTable(slotCount: number): void {
    this.tableSlots -= slotCount;
  }

  get livePages(): number {
    let pages = 0;
    for (const { sizeBytes } of this.live) pages += sizeBytes / PAGE;
    return pages;
  }
}

interface Mapping {
  readonly backing: FakeBacking;
  readonly sizeBytes: number;
  readonly isWritable: boolean;
  isWired: boolean;
}

/** An address space with nothing but segments in it. Page 0 cannot be mapped unless a test says so. */
export class FakeSpace implements AddressSpace {
  readonly mappings = new Map<number, Mapping>();
  readonly mapFault: Fault = { error: 0, after: 0, times: Infinity };
  readonly wireFault: Fault = { error: 0, after: 0, times: Infinity };
  readonly unwireFault: Fault = { error: 0, after: 0, times: Infinity };
  gate: WaitChannel | null = null;
  allowsPageZero = false;

  *map({ backing, sizeBytes, address, isWritable }: MapRequest): Operation<number> {
    if (this.gate !== null) {
      const woken = yield* sleep(this.gate, hostSleep);
      if (woken === WakeReason.Interrupted) return -ENOMEM;
    }
    const error = takeFault(this.mapFault);
    if (error !== 0) return error;
    const place = address ?? this.#freeAddress();
    if ((place === 0 && !this.allowsPageZero) || this.#isTaken(place, sizeBytes)) return -ENOMEM;
    assert(!(backing as FakeBacking).isFree, 'what is mapped exists');
    this.mappings.set(place, { backing: backing as FakeBacking, sizeBytes, isWritable, isWired: false });
    return place;
  }

  unmap(address: number, sizeBytes: number): void {
    const mapping = this.mappings.get(address);
    assert(mapping?.sizeBytes === sizeBytes, 'a mapping is unmapped whole, and once');
    assert(!mapping.backing.isFree, 'memory outlives its mappings');
    this.mappings.delete(address);
  }

  wire(address: number, sizeBytes: number): number {
    return this.#setWired(this.wireFault, address, sizeBytes, true);
  }

  unwire(address: number, sizeBytes: number): number {
    return this.#setWired(this.unwireFault, address, sizeBytes, false);
  }

  /** A child's address space: the same mappings of the same memory (S37). */
  fork(): FakeSpace {
    const child = new FakeSpace();
    for (const [address, mapping] of this.mappings) {
      child.mappings.set(address, { ...mapping, isWired: false });
    }
    return child;
  }

  /** Stores a byte: 0, or -EFAULT as the signal would say. */
  store(address: number, value: number): number {
    const found = this.#at(address);
    if (found?.mapping.isWritable !== true) return -EFAULT;
    found.mapping.backing.bytes[found.offset] = value;
    return 0;
  }

  /** Loads a byte, or -EFAULT. */
  load(address: number): number {
    const found = this.#at(address);
    return found === null ? -EFAULT : found.mapping.backing.bytes[found.offset]!;
  }

  /** mprotect(2) to read and write: what is mapped for reading alone refuses. */
  makeWritable(address: number): number {
    return this.mappings.get(address)!.isWritable ? 0 : -EACCES;
  }

  get wiredCount(): number {
    return [...this.mappings.values()].filter(({ isWired }) => isWired).length;
  }

  #setWired(fault: Fault, address: number, sizeBytes: number, isWired: boolean): number {
    const mapping = this.mappings.get(address);
    assert(mapping?.sizeBytes === sizeBytes, 'what is wired is mapped');
    const error = takeFault(fault);
    if (error === 0) mapping.isWired = isWired;
    return error;
  }

  #at(address: number): { mapping: Mapping; offset: number } | null {
    for (const [start, mapping] of this.mappings) {
      if (address >= start && address < start + mapping.sizeBytes)
        return { mapping, offset: address - start };
    }
    return null;
  }

  #isTaken(address: number, sizeBytes: number): boolean {
    for (const [start, mapping] of this.mappings) {
      if (address < start + mapping.sizeBytes && start < address + sizeBytes) return true;
    }
    return false;
  }

  #freeAddress(): number {
    let address = FIRST_ADDRESS;
    for (const [start, mapping] of this.mappings) address = Math.max(address, start + mapping.sizeBytes);
    return address;
  }
}

/** A process whose address space is known to be the test's own. */
export class TestProcess extends ShmProcess {
  declare readonly space: FakeSpace;

  constructor(credentials: Credentials, space = new FakeSpace()) {
    super(credentials, space);
  }

  /** Addresses of its attachments, oldest first. */
  get addresses(): number[] {
    return [...this.attachments()].map(({ address }) => address);
  }
}

/** A world with shared memory. The invariants are checked after every call. */
export class ShmWorld extends World {
  readonly memory = new FakeMemory();
  readonly shm: ShmSubsystem;

  constructor(options: { choose?: Chooser } = {}) {
    super(options);
    this.shm = new ShmSubsystem(this.kernel, this.memory);
  }

  get table() {
    return this.shm.table;
  }

  override call(operation: Operation<number>): Call {
    const call = super.call(operation);
    this.check();
    return call;
  }

  override checkInvariants(): void {
    super.checkInvariants();
    this.check();
  }

  protected override addTo(ledger: Ledger): void {
    super.addTo(ledger);
    ledger.addSegments(this.shm);
  }

  check(): void {
    this.shm.checkInvariants();
    assert(this.memory.tableSlots >= this.table.slotCount, 'the table in use is held');
    const pages = [...this.table.segments()].reduce(
      (sum, { backing, pages }) => sum + (backing ? pages : 0),
      0,
    );
    assert(this.memory.livePages === pages, 'memory is held for the segments that exist, and no more');
  }

  /** shmget that does not sleep. */
  get(key: number, sizeBytes: number, flags: number, credentials = user, lingers = false): number {
    return this.now(shmget(this.shm, credentials, { key, sizeBytes, flags, lingers }));
  }

  startGet(key: number, sizeBytes: number, flags: number, credentials = user): Call {
    return this.call(shmget(this.shm, credentials, { key, sizeBytes, flags }));
  }

  /** A new private segment. */
  make(sizeBytes = PAGE, mode = 0o600, credentials = user): number {
    const id = this.get(0, sizeBytes, IPC_CREAT | mode, credentials);
    assert(id >= 0, `a segment of ${sizeBytes} bytes can be made`);
    return id;
  }

  process(credentials: Credentials = user): TestProcess {
    return new TestProcess(credentials);
  }

  /** shmat that does not sleep. */
  attach(process: ShmProcess, id: number, request: AttachRequest = {}): number {
    return this.now(shmat(this.shm, process, id, request));
  }

  startAttach(process: ShmProcess, id: number, request: AttachRequest = {}): Call {
    return this.call(shmat(this.shm, process, id, request));
  }

  detach(process: ShmProcess, address: number): number {
    return this.#checked(shmdt(this.shm, process, address));
  }

  fork(parent: TestProcess, pid: number): TestProcess {
    const child = new TestProcess({ ...parent.credentials, pid }, parent.space.fork());
    shmfork(parent, child);
    this.check();
    return child;
  }

  /** exit(2), and exec(2) as far as shared memory goes. */
  exit(process: TestProcess): void {
    shmexit(this.shm, process);
    assert(process.space.mappings.size === 0, 'nothing is left mapped');
    this.check();
  }

  remove(id: number, credentials: Credentials = user): number {
    return this.#checked(ipcRemove(this.shm, credentials, id));
  }

  set(id: number, change: Partial<SegmentChange>, credentials: Credentials = user): number {
    const { ownerUid, ownerGid, mode } = this.status(id).permissions;
    return this.#checked(ipcSet(this.shm, credentials, id, { ownerUid, ownerGid, mode, ...change }));
  }

  lock(process: ShmProcess, id: number): number {
    return this.#checked(shmLock(this.shm, process, id));
  }

  unlock(process: ShmProcess, id: number): number {
    return this.#checked(shmUnlock(this.shm, process, id));
  }

  /** IPC_STAT by the superuser, for a segment that exists. */
  status(id: number): SegmentStatus {
    const status = ipcStat(this.shm, rootCredentials, id);
    assert(typeof status !== 'number', `segment ${id} exists`);
    return status;
  }

  exists(id: number): boolean {
    return typeof ipcStat(this.shm, rootCredentials, id) !== 'number';
  }

  segment(id: number): Segment {
    const segment = this.table.find(id);
    assert(segment !== null, `segment ${id} exists`);
    return segment;
  }

  backing(id: number): FakeBacking {
    return this.segment(id).backing as FakeBacking;
  }

  /** A write of shmmni by the superuser. */
  startResize(slotCount: number): Call {
    return this.call(this.kernel.sysctls.change('kern.ipc.shmmni', slotCount, rootCredentials));
  }

  resize(slotCount: number): number {
    return this.now(this.kernel.sysctls.change('kern.ipc.shmmni', slotCount, rootCredentials));
  }

  /** Writes kern.ipc.NAME as the superuser: 0 or a negative errno. */
  setLimit(name: string, value: number, credentials: Credentials = rootCredentials): number {
    return this.now(this.kernel.sysctls.change(`kern.ipc.${name}`, value, credentials));
  }

  limit(name: string): number {
    return this.sysctl(`kern.ipc.${name}`);
  }

  /** Makes what the host does sleep until `open` is called. */
  closeGate(host: { gate: WaitChannel | null }): { open: () => void } {
    const gate = this.kernel.channel(null);
    host.gate = gate;
    return {
      open: () => {
        host.gate = null;
        gate.wakeup();
        this.kernel.scheduler.run();
        this.check();
      },
    };
  }

  #checked(result: number): number {
    this.check();
    return result;
  }
}
