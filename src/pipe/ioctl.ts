import type { Credentials } from '../kern/credentials.ts';
import { ENOTTY } from '../kern/errno.ts';
import { type File, Ioctl, type IoctlArgument } from '../kern/file.ts';
import type { PipeEnd } from './end.ts';

/** ioctl(2) on a pipe (pipe_ioctl; P103 to P107). 0, -ENOTTY, or what the host says of an owner. */
export function pipeIoctl(
  file: File,
  command: number,
  argument: IoctlArgument,
  credentials: Credentials,
): number {
  const end = file.data as PipeEnd;
  const denied = end.pair.subsystem.policy?.checkIoctl?.(credentials, end.pair, command) ?? 0;
  if (denied !== 0) return denied;
  switch (command) {
    case Ioctl.FIONBIO:
      return 0;
    case Ioctl.FIOASYNC:
      end.isAsync = argument.value !== 0;
      return 0;
    case Ioctl.FIONREAD:
      argument.value = file.readable ? end.readableBytes(file) : 0;
      return 0;
    case Ioctl.FIOSETOWN:
      return setOwner(end, argument.value, credentials);
    case Ioctl.FIOGETOWN:
      argument.value = end.owner?.id ?? 0;
      return 0;
    case Ioctl.TIOCSPGRP:
      return setOwner(end, -argument.value, credentials);
    case Ioctl.TIOCGPGRP:
      argument.value = end.owner === null ? 0 : -end.owner.id;
      return 0;
    default:
      return -ENOTTY;
  }
}

/** fsetown: 0 removes the owner. */
function setOwner(end: PipeEnd, id: number, credentials: Credentials): number {
  if (id === 0) {
    end.owner = null;
    return 0;
  }
  const owner = end.pair.subsystem.kernel.host.signalOwner(id, credentials);
  if (typeof owner === 'number') return owner;
  end.owner = owner;
  return 0;
}
