// The calls on nodes and open files, as every transport makes them: what comes between a call and its object comes here, so that neither
// engines nor transports know of it.

import type { Credentials } from '../kern/credentials.ts';
import { ENOTTY } from '../kern/errno.ts';
import type { IoctlArgument } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import type { Poller } from '../kern/poll.ts';
import type { ReadUio, WriteUio } from '../kern/uio.ts';
import type { AttributeChange, Node } from './node.ts';
import type { OpenFile } from './open-file.ts';

/** What calls go through while there are faults on demand. Each makes the call, or does what a fault says in its place. */
export interface CallFaults {
  open(file: OpenFile): Operation<number>;
  openAtOnce(file: OpenFile, isMaker: boolean): number;
  read(file: OpenFile, uio: ReadUio, credentials: Credentials): Operation<number>;
  write(file: OpenFile, uio: WriteUio, credentials: Credentials): Operation<number>;
  ioctl(file: OpenFile, command: number, argument: IoctlArgument, credentials: Credentials): number;
  exchange(
    file: OpenFile,
    input: Uint8Array,
    output: ReadUio,
    credentials: Credentials,
  ): Operation<number> | number;
  poll(file: OpenFile, events: number, poller: Poller | null, credentials: Credentials): number;
  setAttributes(node: Node, change: AttributeChange, credentials: Credentials): number;
  /** Before an attach that no open makes: 0 to go on, or a negative errno. */
  beforeAttach(node: Node, credentials: Credentials): Operation<number>;
}

/** open(2): see Node.open. */
export function openNode(file: OpenFile): Operation<number> {
  const { node } = file;
  const { faults } = node.context;
  return faults === null ? node.open(file) : faults.open(file);
}

/** An open with O_CREAT: see Node.openAtOnce. */
export function openNodeAtOnce(file: OpenFile, isMaker: boolean): number {
  const { node } = file;
  const { faults } = node.context;
  return faults === null ? node.openAtOnce(file, isMaker) : faults.openAtOnce(file, isMaker);
}

/** read(2): see FileOps. `isContinuation`: the later part of a call that the host has cut into requests. */
export function readFile(
  file: OpenFile,
  uio: ReadUio,
  credentials: Credentials,
  isContinuation: boolean,
): Operation<number> {
  const { faults } = file.node.context;
  if (faults === null || isContinuation) return file.ops.read(file, uio, credentials);
  return faults.read(file, uio, credentials);
}

/** write(2): as `readFile`. */
export function writeFile(
  file: OpenFile,
  uio: WriteUio,
  credentials: Credentials,
  isContinuation: boolean,
): Operation<number> {
  const { faults } = file.node.context;
  if (faults === null || isContinuation) return file.ops.write(file, uio, credentials);
  return faults.write(file, uio, credentials);
}

/** ioctl(2): see FileOps. */
export function ioctlFile(
  file: OpenFile,
  command: number,
  argument: IoctlArgument,
  credentials: Credentials,
): number {
  const { faults } = file.node.context;
  if (faults === null) return file.ops.ioctl(file, command, argument, credentials);
  return faults.ioctl(file, command, argument, credentials);
}

/** ioctl(2) with a structure: see FileOps. -ENOTTY for a file that takes none. */
export function exchangeWithFile(
  file: OpenFile,
  input: Uint8Array,
  output: ReadUio,
  credentials: Credentials,
): Operation<number> | number {
  const { faults } = file.node.context;
  if (file.ops.exchange === undefined) return -ENOTTY;
  if (faults === null) return file.ops.exchange(file, input, output, credentials);
  return faults.exchange(file, input, output, credentials);
}

/** poll(2): see FileOps. */
export function pollFile(
  file: OpenFile,
  events: number,
  poller: Poller | null,
  credentials: Credentials,
): number {
  const { faults } = file.node.context;
  if (faults === null) return file.ops.poll(file, events, poller, credentials);
  return faults.poll(file, events, poller, credentials);
}

/** chmod, chown, utimensat, truncate: see Node.setAttributes. */
export function setNodeAttributes(node: Node, change: AttributeChange, credentials: Credentials): number {
  const { faults } = node.context;
  return faults === null
    ? node.setAttributes(change, credentials)
    : faults.setAttributes(node, change, credentials);
}
