import type { Credentials } from '../../kern/credentials.ts';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDNORM,
  type Poller,
} from '../../kern/poll.ts';
import { pollFile } from '../../vfs/calls.ts';
import type { OpenFile } from '../../vfs/open-file.ts';

/** POLLWRNORM and POLLRDHUP of Linux: the first is FreeBSD's POLLOUT, the second has the number of its POLLINIGNEOF. */
const LINUX_POLLWRNORM = 0x100;
const BSD_POLL_BITS = POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLRDBAND;

/** Whatever poll(2) can ask for, where what was asked for is not known. */
export const EVERY_LINUX_POLL_BIT = BSD_POLL_BITS | LINUX_POLLWRNORM;

/** Polls a file in Linux's bits: those of `asked` that hold now, or a negative errno. The poller hears once of a change. */
export function pollLinux(
  file: OpenFile,
  asked: number,
  poller: Poller | null,
  credentials: Credentials,
): number {
  let events = asked & BSD_POLL_BITS;
  if ((asked & LINUX_POLLWRNORM) !== 0) events |= POLLOUT;
  const ready = pollFile(file, events, poller, credentials);
  if (ready < 0) return ready;
  const also = (ready & POLLOUT) !== 0 ? LINUX_POLLWRNORM : 0;
  return (ready | also) & (asked | POLLHUP | POLLERR);
}
