import { type Change, EV_ADD, Given, type Ident, type Kevent, type Udata } from './kevent.ts';
import { parseInteger64 } from './numbers.ts';

// The record of section 4.4 of the specification, as little-endian machines have it.
const IDENT = 0;
const FILTER = 8;
const FLAGS = 10;
const FFLAGS = 12;
const DATA = 16;
const UDATA = 24;

const WORD = 2 ** 32;
/** High words below this leave a 64-bit number a safe integer. */
const SAFE_HIGH = 2 ** 21;

/** Stands in a record for an ident that is a path: no descriptor has this number. */
export const PATH_IDENT = 2n ** 64n - 1n;

function readUnsigned(view: DataView, at: number): number | bigint {
  const high = view.getUint32(at + 4, true);
  return high < SAFE_HIGH ? high * WORD + view.getUint32(at, true) : view.getBigUint64(at, true);
}

function readSigned(view: DataView, at: number): number | bigint {
  const value = view.getInt32(at + 4, true) * WORD + view.getUint32(at, true);
  return Number.isSafeInteger(value) ? value : view.getBigInt64(at, true);
}

function write64(view: DataView, at: number, value: number | bigint): void {
  if (typeof value === 'bigint') {
    view.setBigUint64(at, value, true);
    return;
  }
  view.setUint32(at, value % WORD, true);
  view.setUint32(at + 4, Math.floor(value / WORD), true);
}

/** The change in a record. */
export function decodeChange(view: DataView, at: number): Change {
  const flags = view.getUint16(at + FLAGS, true);
  return {
    ident: readUnsigned(view, at + IDENT),
    filter: view.getInt16(at + FILTER, true),
    flags,
    fflags: view.getUint32(at + FFLAGS, true),
    data: readSigned(view, at + DATA),
    udata: readUnsigned(view, at + UDATA),
    label: null,
    given: (flags & EV_ADD) !== 0 ? Given.Everything : Given.Nothing,
  };
}

/** Writes an event into 32 bytes of `view`. */
export function encodeEvent(event: Kevent, view: DataView, at: number): void {
  write64(view, at + IDENT, identNumber(event.ident));
  view.setInt16(at + FILTER, event.filter, true);
  view.setUint16(at + FLAGS, event.flags, true);
  view.setUint32(at + FFLAGS, event.fflags, true);
  write64(view, at + DATA, event.data);
  write64(view, at + UDATA, udataNumber(event.udata));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function identNumber(ident: Ident): number | bigint {
  return typeof ident === 'string' ? PATH_IDENT : ident;
}

/** A word of the text form that is a number is that number; any other is 0. */
function udataNumber(udata: Udata): number | bigint {
  return typeof udata === 'string' ? (parseInteger64(udata) ?? 0) : udata;
}
