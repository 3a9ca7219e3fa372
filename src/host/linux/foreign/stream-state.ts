import { type ForeignState, Ready, Side } from '../../../kern/foreign.ts';
import * as libc from '../libc.ts';
import * as calls from './calls.ts';
import type { StreamKind } from './kinds.ts';

/** Linux's ioctls: bytes that can be read, and bytes of a socket that wait to be sent. */
const FIONREAD = 0x541b;
const SIOCOUTQ = 0x5411;
const F_GETPIPE_SZ = 1032;

/** States of TCP (include/net/tcp_states.h). */
const TCP_SYN_SENT = 2;
const TCP_CLOSE = 7;
/** Those in which this side has ended its output: FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, LAST_ACK, CLOSING. */
const TCP_OUTPUT_ENDED: ReadonlySet<number> = new Set([4, 5, 6, TCP_CLOSE, 9, 11]);

/** Errnos of sockets, which events show as positive numbers. */
const ECONNRESET = 104;
const ECONNREFUSED = 111;

export const NOTHING: ForeignState = { ready: 0, readableBytes: 0, writableBytes: 0, error: 0 };

const pollWords = new Int32Array(2);
const REVENTS_SHIFT = 16;
const count = new Int32Array(1);

function pollNow(descriptor: number, sides: number): number {
  let events = calls.EPOLLIN | calls.EPOLLPRI | calls.EPOLLRDHUP;
  if ((sides & Side.Write) !== 0) events |= calls.EPOLLOUT;
  pollWords[0] = descriptor;
  pollWords[1] = events;
  return libc.poll(pollWords, 1, 0) < 0 ? 0 : pollWords[1] >>> REVENTS_SHIFT;
}

/** -1 where the file has no such count. */
function countOf(descriptor: number, request: number): number {
  return libc.ioctl(descriptor, request, count) === 0 ? count[0]! : -1;
}

/** Bits of Ready that poll's bits mean, where the kind of file does not say otherwise. */
function readyOf(bits: number): number {
  let ready = 0;
  if ((bits & (calls.EPOLLIN | calls.EPOLLERR)) !== 0) ready |= Ready.Read;
  if ((bits & (calls.EPOLLOUT | calls.EPOLLERR)) !== 0) ready |= Ready.Write;
  if ((bits & calls.EPOLLPRI) !== 0) ready |= Ready.Urgent;
  if ((bits & (calls.EPOLLRDHUP | calls.EPOLLHUP)) !== 0) ready |= Ready.EndOfInput;
  if ((bits & (calls.EPOLLHUP | calls.EPOLLERR)) !== 0) ready |= Ready.EndOfOutput;
  return ready;
}

function readable(bits: number, bytes: number): number {
  return bytes >= 0 ? bytes : (bits & calls.EPOLLIN) !== 0 ? 1 : 0;
}

function socketRoom(descriptor: number, bits: number, sides: number): number {
  if ((sides & Side.Write) === 0) return 0;
  const room = calls.integerOption(descriptor, calls.SO_SNDBUF) - Math.max(0, countOf(descriptor, SIOCOUTQ));
  return Math.max((bits & calls.EPOLLOUT) !== 0 ? 1 : 0, room);
}

function tcp(descriptor: number, bits: number, sides: number): ForeignState {
  const isOdd = (bits & (calls.EPOLLHUP | calls.EPOLLERR | calls.EPOLLRDHUP)) !== 0;
  const info = isOdd || (sides & Side.Write) !== 0 ? calls.tcpState(descriptor) : null;
  const hasFailed = (bits & calls.EPOLLERR) !== 0;
  // Before connect(2) Linux says that a socket has hung up. On a BSD nothing is ready.
  const isUnborn = info !== null && !info.wasConnected && !hasFailed;
  if (isUnborn && (info.state === TCP_CLOSE || info.state === TCP_SYN_SENT)) return NOTHING;
  let ready = readyOf(bits);
  if (info !== null && TCP_OUTPUT_ENDED.has(info.state)) ready |= Ready.EndOfOutput;
  return {
    ready,
    readableBytes: readable(bits, countOf(descriptor, FIONREAD)),
    writableBytes: socketRoom(descriptor, bits, sides),
    // The error itself cannot be read without taking it from the program.
    error: !hasFailed ? 0 : info?.wasConnected === true ? ECONNRESET : ECONNREFUSED,
  };
}

/** A socket with a peer of the local domain. */
function stream(descriptor: number, bits: number, sides: number): ForeignState {
  const hasFailed = (bits & calls.EPOLLERR) !== 0;
  const isUnborn = (bits & calls.EPOLLHUP) !== 0 && !hasFailed && !calls.hasPeer(descriptor);
  if (isUnborn && (bits & calls.EPOLLRDHUP) === 0) return NOTHING;
  return {
    ready: readyOf(bits),
    readableBytes: readable(bits, countOf(descriptor, FIONREAD)),
    writableBytes: socketRoom(descriptor, bits, sides),
    error: hasFailed ? ECONNRESET : 0,
  };
}

function listener(descriptor: number, bits: number): ForeignState {
  const isReady = (bits & calls.EPOLLIN) !== 0;
  return {
    ...NOTHING,
    ready: isReady ? Ready.Read : 0,
    readableBytes: isReady ? Math.max(1, calls.tcpState(descriptor)?.backlog ?? 1) : 0,
  };
}

function pipe(descriptor: number, bits: number, sides: number): ForeignState {
  const queued = Math.max(0, countOf(descriptor, FIONREAD));
  const size = (sides & Side.Write) !== 0 ? libc.fcntl(descriptor, F_GETPIPE_SZ, 0) : 0;
  let ready = readyOf(bits & ~calls.EPOLLERR);
  if ((bits & calls.EPOLLERR) !== 0) ready |= Ready.EndOfOutput;
  return { ready, readableBytes: queued, writableBytes: Math.max(0, size - queued), error: 0 };
}

/**
 * What an open file shows now. It may wait for those who have the file in use: Linux counts the bytes of pipes and of TCP under a lock that
 * a writer keeps while it reads its memory, and so for terminals.
 */
export function stateOf(
  descriptor: number,
  kind: StreamKind,
  isListening: boolean,
  sides: number,
): ForeignState {
  const bits = pollNow(descriptor, sides);
  if (isListening) return listener(descriptor, bits);
  switch (kind) {
    case 'tcp':
      return tcp(descriptor, bits, sides);
    case 'stream':
      return stream(descriptor, bits, sides);
    case 'pipe':
      return pipe(descriptor, bits, sides);
    case 'datagram':
      return {
        ready: readyOf(bits),
        readableBytes: readable(bits, countOf(descriptor, FIONREAD)),
        writableBytes: socketRoom(descriptor, bits, sides),
        error: (bits & calls.EPOLLERR) !== 0 ? ECONNREFUSED : 0,
      };
    default:
      return {
        ready: readyOf(bits),
        readableBytes: readable(bits, countOf(descriptor, FIONREAD)),
        writableBytes: (bits & calls.EPOLLOUT) !== 0 ? 1 : 0,
        error: 0,
      };
  }
}
