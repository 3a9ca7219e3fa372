import { beforeEach, expect, test } from 'vitest';
import { SLICE_MS } from '../../src/kern/work.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { ioctlCommands, IOCTL_KEVENT, isKeventCommand } from '../../src/transports/common/ioctl.ts';
import {
  interruptBody,
  LINUX_O_RDONLY,
  LINUX_O_RDWR,
  LINUX_O_WRONLY,
  openHandle,
  openPipe,
  walk,
} from '../support/fuse-calls.ts';
import { type Answer, Body, FuseClient } from '../support/fuse-client.ts';
import {
  type ChangeRecord,
  decodeRecords,
  encodeRecords,
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_ERROR,
  EV_RECEIPT,
  EVFILT_USER,
  type KeventRecord,
  NOTE_TRIGGER,
  RECORD_BYTES,
} from '../support/kevent-records.ts';

const HEAD_BYTES = 32;
const OUT_BYTES = 16;
const EBADF = -9;
const EINTR = -4;
const EINVAL = -22;
const ENOENT = 2;
const ENOTTY = -25;

interface Call {
  readonly changes?: readonly ChangeRecord[];
  /** Room for events. */
  readonly room?: number;
  readonly timeoutSeconds?: number;
  readonly flags?: number;
  /** What the structure says, where it lies. */
  readonly changeCount?: number;
  readonly sizeBytes?: number;
  /** What the command says of it, where it lies. */
  readonly saidBytes?: number;
}

let client: FuseClient;
let queue: number;
beforeEach(() => {
  client = new FuseClient();
  queue = openHandle(client, walk(client, 'kqueue.bin'), LINUX_O_RDWR);
});

function body(handle: number, call: Call): Body {
  const { changes = [], room = 0, timeoutSeconds } = call;
  const sizeBytes =
    call.sizeBytes ?? Math.max(HEAD_BYTES + RECORD_BYTES * changes.length, RECORD_BYTES * room, HEAD_BYTES);
  const structure = new Uint8Array(sizeBytes);
  const head = new Body()
    .u32((call.changeCount ?? changes.length) >>> 0)
    .u32(room >>> 0)
    .u64(timeoutSeconds ?? 0)
    .u64(0)
    .u32((timeoutSeconds === undefined ? 0 : 1) | (call.flags ?? 0))
    .u32(0)
    .bytes(Buffer.from(encodeRecords(changes), 'hex'))
    .build();
  structure.set(head.subarray(0, sizeBytes));
  return new Body()
    .u64(handle) // fh
    .u32(0) // flags
    .u32((IOCTL_KEVENT | ((call.saidBytes ?? sizeBytes) << 16)) >>> 0) // cmd
    .u64(0x7fff_0000) // arg
    .u32(sizeBytes) // in_size
    .u32(sizeBytes) // out_size
    .bytes(structure);
}

interface Outcome {
  readonly result: number;
  readonly events: readonly KeventRecord[];
}

function outcome({ error, payload }: Answer): Outcome {
  if (error !== 0) return { result: error, events: [] };
  const bytes = Buffer.from(payload.buffer, payload.byteOffset + OUT_BYTES, payload.byteLength - OUT_BYTES);
  return { result: payload.getInt32(0, true), events: decodeRecords(bytes.toString('hex')) };
}

function kevent(call: Call, handle = queue): Outcome {
  return outcome(client.request(Opcode.IOCTL, 0, body(handle, call)));
}

const add = { ident: 1, filter: EVFILT_USER, flags: EV_ADD | EV_CLEAR, udata: 77 };
const trigger = { ident: 1, filter: EVFILT_USER, flags: 0, fflags: NOTE_TRIGGER };

test('the number is that of no other command, whatever its size', () => {
  for (const command of ioctlCommands.keys()) expect(isKeventCommand(command)).toBe(false);
  expect(isKeventCommand((IOCTL_KEVENT | (16383 << 16)) >>> 0)).toBe(true);
  expect(isKeventCommand(IOCTL_KEVENT + 1)).toBe(false);
});

test('K9, K13: one ioctl applies changes, then gives events', () => {
  expect(kevent({ changes: [add], room: 4, timeoutSeconds: 0 })).toEqual({ result: 0, events: [] });
  const { result, events } = kevent({ changes: [trigger], room: 4 });
  expect(result).toBe(1);
  expect(events).toMatchObject([{ ident: 1n, filter: EVFILT_USER, udata: 77n }]);
});

test('K15, K17: with room an error is a record, and no event comes with it', () => {
  kevent({ changes: [add, trigger] });
  const missing = { ident: 2, filter: EVFILT_USER, flags: 0 };
  const { result, events } = kevent({ changes: [missing], room: 2, timeoutSeconds: 0 });
  expect(result).toBe(1);
  expect(events).toMatchObject([{ ident: 2n, flags: EV_ERROR, data: BigInt(ENOENT) }]);
});

test('K19: without room an error fails the call', () => {
  expect(kevent({ changes: [{ ident: 2, filter: EVFILT_USER, flags: 0 }] }).result).toBe(-ENOENT);
});

test('K29: a signal ends the wait with EINTR, and the queue has its events still', () => {
  const unique = client.send(Opcode.IOCTL, 0, body(queue, { changes: [add], room: 1 }));
  expect(client.answers(unique)).toEqual([]);
  client.send(Opcode.INTERRUPT, 0, interruptBody(unique));
  expect(client.answers(unique).map(({ error }) => error)).toEqual([EINTR]);
  expect(kevent({ changes: [trigger], room: 1 }).result).toBe(1);
});

test('a call that waits gets the event that another call causes', () => {
  const unique = client.send(Opcode.IOCTL, 0, body(queue, { changes: [add], room: 3 }));
  kevent({ changes: [trigger] });
  const [answer] = client.answers(unique);
  expect(outcome(answer!)).toMatchObject({ result: 1, events: [{ ident: 1n }] });
});

test('a time-out ends the wait with 0 records', () => {
  const unique = client.send(Opcode.IOCTL, 0, body(queue, { room: 1, timeoutSeconds: 5 }));
  client.host.clock.advance(5100);
  client.fileSystem.kernel.callouts.runExpired(1000);
  client.session.settle();
  expect(client.answers(unique).map(outcome)).toEqual([{ result: 0, events: [] }]);
});

test('a list that goes on in another call collects nothing', () => {
  kevent({ changes: [add, trigger] });
  const receipt = { ...add, ident: 3, flags: EV_ADD | EV_RECEIPT };
  expect(kevent({ changes: [receipt], room: 2, flags: 2 })).toMatchObject({
    result: 1,
    events: [{ ident: 3n }],
  });
  expect(kevent({ changes: [], room: 2, flags: 2 }).result).toBe(0);
  expect(kevent({ room: 2 }).result).toBe(1);
});

test('what is no such structure is EINVAL, and changes nothing', () => {
  const refused: readonly Call[] = [
    { changes: [add], sizeBytes: HEAD_BYTES },
    { sizeBytes: HEAD_BYTES - 1 },
    { changes: [add], changeCount: 2 },
    { changes: [add], changeCount: -1 },
    { room: 2, sizeBytes: HEAD_BYTES },
    { room: 4, sizeBytes: 4 * RECORD_BYTES, saidBytes: 8 * RECORD_BYTES },
    { changes: [add], flags: 4 },
  ];
  for (const call of refused) expect(kevent(call).result).toBe(EINVAL);
  expect(client.request(Opcode.IOCTL, 0, body(queue, { room: -1 })).error).toBe(EINVAL);
  expect(kevent({ changes: [trigger] }).result).toBe(-ENOENT);
});

test('a kqueue that is open for one direction takes or gives in that one', () => {
  const readOnly = openHandle(client, walk(client, 'kqueue.bin'), LINUX_O_RDONLY);
  expect(kevent({ changes: [add] }, readOnly).result).toBe(EBADF);
  expect(kevent({ room: 1, timeoutSeconds: 0 }, readOnly).result).toBe(0);
  const writeOnly = openHandle(client, walk(client, 'kqueue'), LINUX_O_WRONLY);
  expect(kevent({ changes: [add] }, writeOnly).result).toBe(0);
  expect(kevent({ room: 1, timeoutSeconds: 0 }, writeOnly).result).toBe(EBADF);
});

test('other files do not know the command', () => {
  const { reader } = openPipe(client, 'p');
  expect(kevent({ room: 1, timeoutSeconds: 0 }, reader).result).toBe(ENOTTY);
  expect(kevent({ room: 1, timeoutSeconds: 0 }, 4711).result).toBe(EBADF);
});

test('255 changes and 255 events fit into one call', () => {
  const changes = Array.from({ length: 255 }, (_, ident) => ({ ...add, ident }));
  expect(kevent({ changes }).result).toBe(0);
  expect(kevent({ changes: changes.map(({ ident }) => ({ ...trigger, ident })) }).result).toBe(0);
  const { result, events } = kevent({ room: 255 });
  expect(result).toBe(255);
  expect(events.map(({ ident }) => Number(ident))).toEqual(changes.map(({ ident }) => ident));
});

test('a long list of changes is applied in slices, and keeps its bytes while others are served', () => {
  const { clock } = client.host;
  const other = openHandle(client, walk(client, 'kqueue.bin'), LINUX_O_RDWR);
  clock.monotonicMs = () => (clock.nowMs += SLICE_MS / 10);
  const changes = Array.from({ length: 200 }, (_, ident) => ({ ...add, ident }));
  const unique = client.send(Opcode.IOCTL, 0, body(queue, { changes }));
  let turns = 0;
  while (client.answers(unique).length === 0) {
    // Lies in the same buffer.
    kevent({ changes: [{ ...add, ident: 10_000 + turns++ }], room: 200, timeoutSeconds: 0 }, other);
    client.fileSystem.kernel.callouts.runExpired();
    client.session.settleBacklog();
  }
  expect(turns).toBeGreaterThan(2);
  expect(client.answers(unique).map(outcome)).toEqual([{ result: 0, events: [] }]);
  clock.monotonicMs = () => clock.nowMs;
  expect(kevent({ changes: changes.map((change) => ({ ...change, flags: EV_DELETE })) }).result).toBe(0);
});
