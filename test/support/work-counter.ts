/**
 * Counts what requests cost the server: answers, bytes copied within it, bytes allocated. The session is the real one and its device
 * too, with /dev/null at the other end. Prints one line of JSON, the WorkReport of the kind that its argument names: one a process,
 * since what has been compiled for one kind may be compiled anew, or not any more, for the next. To be run with a young generation so
 * large that nothing is collected while it counts (--max-semi-space-size=256 --expose-gc).
 */
import { constants, openSync } from 'node:fs';
import * as libc from '../../src/host/linux/libc.ts';
import { assert } from '../../src/kern/assert.ts';
import { ENODEV } from '../../src/kern/errno.ts';
import { FuseDevice, type ServedDevice } from '../../src/transports/raw/device/device.ts';
import type { GatherUio } from '../../src/transports/raw/device/gather-uio.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { runLoop } from '../../src/transports/raw/loop.ts';
import type { Reply } from '../../src/transports/raw/protocol/reply.ts';
import type { ReceiveBuffer } from '../../src/transports/raw/protocol/request.ts';
import {
  LINUX_O_NONBLOCK,
  LINUX_O_RDWR,
  makePipe,
  openHandle,
  openPipe,
  readBody,
  walk,
  writeBody,
} from './fuse-calls.ts';
import { Body, FuseClient } from './fuse-client.ts';
import { pattern } from './engine.ts';

/** What one turn of a kind of work costs, on average. */
export interface Work {
  readonly answers: number;
  readonly copiedBytes: number;
  readonly allocatedBytes: number;
}

export interface WorkReport {
  readonly work: Work;
  /** Calls of the kernel a request. */
  readonly callsOfLoop: number;
}

const WARM_UP_TURNS = 30_000;
const TURNS = 4000;
const COUNTS = 9;
const EV_ADD_CLEAR = 0x21;
const EVFILT_USER = -9;
const NOTE_TRIGGER = 0x0100_0000;

let copiedBytes = 0;
let answers = 0;
/** Off while the harness itself moves bytes. */
let isCounting = false;

const { prototype } = Uint8Array as unknown as { prototype: Record<'set' | 'slice', () => void> };
/** The methods themselves, whatever stands in their place later. */
const setBytes = Function.prototype.call.bind(prototype.set) as (
  target: Uint8Array,
  source: Uint8Array,
  offset?: number,
) => void;
const sliceBytes = Function.prototype.call.bind(prototype.slice) as (
  source: Uint8Array,
  start?: number,
  end?: number,
) => Uint8Array;

/** From now on, copies within the program are counted. */
function countCopies(): void {
  Object.assign(prototype, {
    set(this: Uint8Array, source: Uint8Array, offset?: number) {
      if (isCounting) copiedBytes += source.length;
      setBytes(this, source, offset);
    },
    slice(this: Uint8Array, start?: number, end?: number) {
      const copy = sliceBytes(this, start, end);
      if (isCounting) copiedBytes += copy.length;
      return copy;
    },
  });
}

/** The device of a mount, whose answers nobody takes. */
class CountingDevice implements ServedDevice {
  readonly #device: FuseDevice;
  readonly hasSources = true;
  /** Calls of the kernel other than answers. */
  calls = 0;
  /** What comes when the loop asks: this message so many times, then the end of the mount. */
  message: Uint8Array = new Uint8Array();
  left = 0;

  constructor() {
    const nowhere = openSync('/dev/null', constants.O_RDWR);
    this.#device = new FuseDevice(nowhere, libc.eventfd(0, libc.EFD_NONBLOCK));
  }

  receive(buffer: ReceiveBuffer): number {
    this.calls++;
    if (this.left === 0) return -ENODEV;
    this.left--;
    setBytes(buffer.bytes, this.message);
    return this.message.length;
  }

  wait(): boolean {
    this.calls++;
    return false;
  }

  send(reply: Reply, length: number): boolean {
    answers++;
    return this.#device.send(reply, length);
  }

  sendGathered(reply: Reply, uio: GatherUio): boolean {
    answers++;
    return this.#device.sendGathered(reply, uio);
  }

  get backgroundBytes(): number {
    return this.#device.backgroundBytes;
  }

  sendInBackground(reply: Reply, uio: GatherUio, buffer: ReceiveBuffer): boolean {
    const isSent = this.#device.sendInBackground(reply, uio, buffer);
    if (isSent) answers++;
    return isSent;
  }

  set onSent(onSent: (buffer: ReceiveBuffer) => void) {
    this.#device.onSent = onSent;
  }

  finishAnswers(): void {
    this.#device.finishAnswers();
  }

  flush(): void {
    this.#device.flush();
  }

  close(): void {
    this.#device.close();
  }

  negotiateRing(): boolean {
    return this.#device.negotiateRing();
  }

  facts(): ReturnType<FuseDevice['facts']> {
    return this.#device.facts();
  }

  openBacking(): number {
    throw new Error('no segment is opened');
  }

  closeBacking(): void {
    throw new Error('no segment is opened');
  }
}

const client = new FuseClient();
const { session } = client;

/** A request whose bytes stay the same; serving it again and again is what is counted. */
function prepared(opcode: number, nodeid: number, body: Body): () => void {
  const message = client.message(opcode, nodeid, body.build());
  return () => {
    isCounting = false;
    // What the loop's next receive does, once they have been sent.
    client.device.finishAnswers();
    setBytes(session.buffers.current.bytes, message);
    isCounting = true;
    session.serve(message.length);
    isCounting = false;
  };
}

/** struct kevent: register or trigger a user event. */
function userEvent(flags: number, fflags: number): Uint8Array {
  const record = new Body().u64(1).bytes(new Uint8Array(24)).build();
  record.writeInt16LE(EVFILT_USER, 8);
  record.writeUInt16LE(flags, 10);
  record.writeUInt32LE(fflags, 12);
  return record;
}

function through(bytes: number): () => void {
  const nodeid = makePipe(client, `through${bytes}`);
  const handle = openHandle(client, nodeid, LINUX_O_RDWR | LINUX_O_NONBLOCK);
  const flags = LINUX_O_RDWR | LINUX_O_NONBLOCK;
  const write = prepared(Opcode.WRITE, 0, writeBody(handle, pattern(bytes), flags));
  const read = prepared(Opcode.READ, 0, readBody(handle, bytes, flags));
  return () => {
    write();
    read();
  };
}

/** A reader sleeps, a blocking write comes, both go on. */
function handedOver(bytes: number): () => void {
  const { reader, writer } = openPipe(client, `direct${bytes}`);
  const read = prepared(Opcode.READ, 0, readBody(reader, bytes));
  const write = prepared(Opcode.WRITE, 0, writeBody(writer, pattern(bytes)));
  return () => {
    read();
    write();
    assert(session.requests.size === 0, 'both have ended');
  };
}

function collected(): () => void {
  const handle = openHandle(client, walk(client, 'kqueue.bin'), LINUX_O_RDWR);
  client.request(Opcode.WRITE, 0, writeBody(handle, userEvent(EV_ADD_CLEAR, 0), LINUX_O_RDWR));
  const trigger = prepared(Opcode.WRITE, 0, writeBody(handle, userEvent(0, NOTE_TRIGGER), LINUX_O_RDWR));
  const collect = prepared(Opcode.READ, 0, readBody(handle, 32, LINUX_O_RDWR));
  return () => {
    trigger();
    collect();
  };
}

function allocatedBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function count(turn: () => void): Work {
  global.gc!();
  copiedBytes = 0;
  answers = 0;
  const before = allocatedBytes();
  for (let turns = 0; turns < TURNS; turns++) turn();
  return {
    allocatedBytes: (allocatedBytes() - before) / TURNS,
    answers: answers / TURNS,
    copiedBytes: copiedBytes / TURNS,
  };
}

/** The least of some counts: what is compiled meanwhile, or not compiled yet, allocates as well. */
function measure(turn: () => void): Work {
  for (let turns = 0; turns < WARM_UP_TURNS; turns++) turn();
  // Memory of the compiler's own may be freed meanwhile.
  const counts = Array.from({ length: COUNTS }, () => count(turn)).filter((work) => work.allocatedBytes >= 0);
  counts.sort((a, b) => a.allocatedBytes - b.allocatedBytes);
  return counts[0]!;
}

/** What makes a turn of each kind. */
const kinds: Readonly<Record<string, () => () => void>> = {
  getattr: () => prepared(Opcode.GETATTR, makePipe(client, 'seen'), new Body().bytes(new Uint8Array(16))),
  'one byte through the ring': () => through(1),
  '4 KiB through the ring': () => through(4096),
  '64 KiB handed over': () => handedOver(64 * 1024),
  '1 MiB handed over': () => handedOver(1024 * 1024),
  'an event triggered and collected': collected,
};

/** Calls of the kernel a request, when the loop itself serves. */
function callsOfLoop(device: CountingDevice): number {
  device.message = client.message(Opcode.STATFS, 1, new Uint8Array());
  device.left = TURNS;
  answers = 0;
  const end = runLoop(session, device, {
    spinMs: 0,
    isStopping: () => false,
    onReady: () => true,
    takeMail: () => undefined,
  });
  assert(end === 'unmounted' && answers === TURNS, 'every request is served');
  return (device.calls + answers) / TURNS;
}

const turn = kinds[process.argv[2]!]!();
const device = new CountingDevice();
device.onSent = client.device.onSent;
// From here on the session's answers go where a mount's go.
Object.defineProperties(client.device, {
  send: { value: device.send.bind(device) },
  sendGathered: { value: device.sendGathered.bind(device) },
  sendInBackground: { value: device.sendInBackground.bind(device) },
  finishAnswers: { value: device.finishAnswers.bind(device) },
  backgroundBytes: { value: device.backgroundBytes },
});
countCopies();
const report: WorkReport = { work: measure(turn), callsOfLoop: callsOfLoop(device) };
process.stdout.write(`${JSON.stringify(report)}\n`);
