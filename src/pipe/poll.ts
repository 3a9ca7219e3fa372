import type { Credentials } from '../kern/credentials.ts';
import type { File } from '../kern/file.ts';
import { POLLHUP, POLLIN, POLLINIGNEOF, POLLOUT, POLLRDNORM, POLLWRNORM, type Poller } from '../kern/poll.ts';
import { type PipeEnd, Presence } from './end.ts';
import { hasRoom } from './room.ts';

/** Whether a write of PIPE_BUF bytes would not wait (P68, P83). */
function writable(end: PipeEnd): boolean {
  if (end.presence !== Presence.Active || end.endOfFile) return true;
  if (end.chunk !== null) return false;
  if (end.discipline !== null) return end.discipline.hasRoom;
  return end.ring.size === 0 || hasRoom(end);
}

/** poll(2) on a pipe (pipe_poll; P82 to P91). The generation rule holds whenever the file is readable (PB9). */
export function pipePoll(
  file: File,
  events: number,
  poller: Poller | null,
  credentials: Credentials,
): number {
  const own = file.data as PipeEnd;
  const target = own.peer;
  const denied = own.pair.subsystem.policy?.checkPoll?.(credentials, own.pair) ?? 0;
  if (denied !== 0) return denied;
  let ready = 0;
  if (file.readable && own.readableBytes(file) > 0) ready |= events & (POLLIN | POLLRDNORM);
  if (file.writable && writable(target)) ready |= events & (POLLOUT | POLLWRNORM);
  const noWriterSinceOpen = own.pair.isNamed && file.readable && file.pipeGeneration === own.writerGeneration;
  if (own.endOfFile && (events & POLLINIGNEOF) === 0 && !noWriterSinceOpen) {
    if (file.readable) ready |= events & (POLLIN | POLLRDNORM);
    if (target.presence !== Presence.Active || target.endOfFile) ready |= POLLHUP;
  }
  if (poller !== null) {
    // Whatever was asked for: a hang-up is reported unasked.
    if (file.readable) own.pollQueue.record(poller);
    if (file.writable && target.presence === Presence.Active) target.pollQueue.record(poller);
  }
  return ready;
}
