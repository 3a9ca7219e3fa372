import type { Credentials } from '../../kern/credentials.ts';
import { Ioctl } from '../../kern/file.ts';
import { ioctlFile } from '../../vfs/calls.ts';
import type { OpenFile } from '../../vfs/open-file.ts';

/** A command as callers on Linux encode it, and the BSD command that it stands for. */
interface IoctlCommand {
  readonly bsdNumber: number;
  readonly returnsValue: boolean;
}

const IOC_WRITE = 1;
const IOC_READ = 2;
const INT_BYTES = 4;

/** Linux's _IOR and _IOW for an int. */
function encode(direction: number, group: string, number: number): number {
  return ((direction << 30) | (INT_BYTES << 16) | (group.charCodeAt(0) << 8) | number) >>> 0;
}

/** _IOR('K', 1, uint64_t): the handle of the open file, as info/handles shows it. */
export const IOCTL_GET_HANDLE = 0x80084b01;

/** _IOWR('K', 2, SIZE): kevent(2). SIZE is that of the caller's structure, in bytes. */
export const IOCTL_KEVENT = 0xc0004b02;
const SIZE_MASK = 0x3fff;
const SIZE_SHIFT = 16;

/** Whether a command as it arrives is IOCTL_KEVENT. */
export function isKeventCommand(command: number): boolean {
  return (command & ~(SIZE_MASK << SIZE_SHIFT)) >>> 0 === IOCTL_KEVENT;
}

/** Bytes of the structure behind an ioctl's argument. */
export function ioctlSizeBytes(command: number): number {
  return (command >>> SIZE_SHIFT) & SIZE_MASK;
}

/** By the number that arrives. Linux's own FIONBIO never does: its kernel sets the descriptor's flag itself. */
export const ioctlCommands: ReadonlyMap<number, IoctlCommand> = new Map([
  [encode(IOC_READ, 'f', 127), { bsdNumber: Ioctl.FIONREAD, returnsValue: true }],
  [encode(IOC_WRITE, 'f', 126), { bsdNumber: Ioctl.FIONBIO, returnsValue: false }],
  [encode(IOC_WRITE, 'f', 125), { bsdNumber: Ioctl.FIOASYNC, returnsValue: false }],
  [encode(IOC_WRITE, 'f', 124), { bsdNumber: Ioctl.FIOSETOWN, returnsValue: false }],
  [encode(IOC_READ, 'f', 123), { bsdNumber: Ioctl.FIOGETOWN, returnsValue: true }],
  [encode(IOC_WRITE, 't', 118), { bsdNumber: Ioctl.TIOCSPGRP, returnsValue: false }],
  [encode(IOC_READ, 't', 119), { bsdNumber: Ioctl.TIOCGPGRP, returnsValue: true }],
]);

/** What an ioctl answers: its result or a negative errno, and the int that it gives back, if it gives one. */
export interface IoctlResult {
  readonly result: number;
  readonly value: number | null;
}

/** Performs a BSD command that arrived under its Linux-encoded number (T9); `value` is the int behind its argument. */
export function performIoctl(
  file: OpenFile,
  linuxCommand: number,
  value: number,
  credentials: Credentials,
): IoctlResult {
  const command = ioctlCommands.get(linuxCommand);
  const argument = { value };
  const result = ioctlFile(file, command?.bsdNumber ?? 0, argument, credentials);
  return { result, value: result >= 0 && command?.returnsValue === true ? argument.value : null };
}
