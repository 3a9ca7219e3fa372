/** The 32-byte records of kqueue.bin, as hexadecimal digits: struct kevent of a 64-bit little-endian machine. */

export const RECORD_BYTES = 32;

export const EVFILT_READ = -1;
export const EVFILT_WRITE = -2;
export const EVFILT_AIO = -3;
export const EVFILT_VNODE = -4;
export const EVFILT_TIMER = -7;
export const EVFILT_EXCEPT = -8;
export const EVFILT_USER = -9;

export const EV_ADD = 0x1;
export const EV_DELETE = 0x2;
export const EV_ENABLE = 0x4;
export const EV_DISABLE = 0x8;
export const EV_ONESHOT = 0x10;
export const EV_CLEAR = 0x20;
export const EV_RECEIPT = 0x40;
export const EV_DISPATCH = 0x80;
export const EV_ERROR = 0x4000;
export const EV_EOF = 0x8000;

export const NOTE_TRIGGER = 0x0100_0000;
export const NOTE_FFAND = 0x4000_0000;
export const NOTE_FFOR = 0x8000_0000;
export const NOTE_FFCOPY = 0xc000_0000;

export interface KeventRecord {
  readonly ident: bigint;
  readonly filter: number;
  readonly flags: number;
  readonly fflags: number;
  readonly data: bigint;
  readonly udata: bigint;
}

/** What a test says of a change; what it leaves out is 0. */
export interface ChangeRecord {
  readonly ident: number | bigint;
  readonly filter: number;
  readonly flags: number;
  readonly fflags?: number;
  readonly data?: number | bigint;
  readonly udata?: number | bigint;
}

export function encodeRecords(changes: readonly ChangeRecord[]): string {
  const bytes = Buffer.alloc(RECORD_BYTES * changes.length);
  changes.forEach(({ ident, filter, flags, fflags = 0, data = 0, udata = 0 }, index) => {
    const at = RECORD_BYTES * index;
    bytes.writeBigUInt64LE(BigInt(ident), at);
    bytes.writeInt16LE(filter, at + 8);
    bytes.writeUInt16LE(flags, at + 10);
    bytes.writeUInt32LE(fflags, at + 12);
    bytes.writeBigInt64LE(BigInt(data), at + 16);
    bytes.writeBigUInt64LE(BigInt(udata), at + 24);
  });
  return bytes.toString('hex');
}

export function decodeRecords(hex: string): KeventRecord[] {
  const bytes = Buffer.from(hex, 'hex');
  return Array.from({ length: bytes.length / RECORD_BYTES }, (_, index) => {
    const at = RECORD_BYTES * index;
    return {
      ident: bytes.readBigUInt64LE(at),
      filter: bytes.readInt16LE(at + 8),
      flags: bytes.readUInt16LE(at + 10),
      fflags: bytes.readUInt32LE(at + 12),
      data: bytes.readBigInt64LE(at + 16),
      udata: bytes.readBigUInt64LE(at + 24),
    };
  });
}
