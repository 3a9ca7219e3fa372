import { EINTR, ENOBUFS, EOPNOTSUPP } from '../../../kern/errno.ts';
import type { PollSource } from '../../poll-sources.ts';
import { descriptorFailure } from '../descriptors/descriptor-reserve.ts';
import * as libc from '../libc.ts';

/** Who hears what happens to all processes, in the order in which it happened. Times are nanoseconds of CLOCK_MONOTONIC. */
export interface ConnectorListener {
  forked(parent: number, child: number, timeNs: number): void;
  executed(pid: number, timeNs: number): void;
  /** The first thread of a process has ended. */
  leaderExited(pid: number, status: number): void;
  /** The kernel had no room for events that are lost now; those that came before have been told. */
  lost(): void;
}

const NETLINK_CONNECTOR = 11;
const NLMSG_DONE = 3;
/** Both numbers of the process connector's name; its multicast group has the first. */
const CN_IDX_PROC = 1;
const CN_VAL_PROC = 1;
const PROC_CN_MCAST_LISTEN = 1;
const PROC_CN_MCAST_IGNORE = 2;
const PROC_EVENT_NONE = 0;
const PROC_EVENT_FORK = 0x1;
const PROC_EVENT_EXEC = 0x2;
const PROC_EVENT_EXIT = 0x8000_0000;

/** struct nlmsghdr, struct cn_msg, struct proc_event, in bytes. */
const NETLINK_HEADER_BYTES = 16;
const CONNECTOR_HEADER_BYTES = 20;
const ACKNOWLEDGED_AT = NETLINK_HEADER_BYTES + 12;
const EVENT_AT = NETLINK_HEADER_BYTES + CONNECTOR_HEADER_BYTES;
const TIME_AT = EVENT_AT + 8;
const DATA_AT = EVENT_AT + 16;

const MESSAGE_BYTES = 1024;
/** Some 10,000 events. */
const RECEIVE_ROOM_BYTES = 8 * 1024 * 1024;
/** As many are taken in one turn, so that a storm of processes does not keep requests waiting. */
const MOST_AT_ONCE = 500;

/** The kernel's process connector: a netlink socket that tells of every fork, exec and exit. */
export class ProcessConnector implements PollSource {
  #descriptor: number;
  readonly #listener: ConnectorListener;
  readonly #view = new DataView(new ArrayBuffer(MESSAGE_BYTES));
  #hasLost = false;
  /** When the event happened that was told last. */
  #toldNs = 0;

  private constructor(descriptor: number, listener: ConnectorListener) {
    this.#descriptor = descriptor;
    this.#listener = listener;
  }

  /**
   * Listens from now on. -ENFILE without descriptors, -EOPNOTSUPP where it cannot be had: no right (CAP_NET_ADMIN before Linux 6.6), a network, process or user
   * namespace other than the first, or a kernel without CONFIG_PROC_EVENTS.
   */
  static open(listener: ConnectorListener): ProcessConnector | number {
    const type = libc.SOCK_DGRAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
    const descriptor = libc.socket(libc.AF_NETLINK, type, NETLINK_CONNECTOR);
    if (descriptor < 0) return descriptorFailure();
    const connector = new ProcessConnector(descriptor, listener);
    if (connector.#listen()) return connector;
    connector.close();
    return -EOPNOTSUPP;
  }

  get descriptor(): number {
    return this.#descriptor;
  }

  readable(): void {
    this.#take(MOST_AT_ONCE, Infinity);
  }

  /** Tells of everything that happened until `untilNs`. */
  catchUp(untilNs: number): void {
    this.#take(Infinity, untilNs);
  }

  /** Tells of what comes within `timeoutMs`, once something has. */
  wait(timeoutMs: number): void {
    if (libc.poll(new Int32Array([this.#descriptor, libc.POLLIN]), 1, timeoutMs) > 0) this.readable();
  }

  #take(most: number, untilNs: number): void {
    this.#toldNs = 0;
    for (let count = 0; count < most && this.#toldNs <= untilNs && this.#descriptor >= 0; count++) {
      const length = this.#receive();
      if (length >= DATA_AT) {
        this.#dispatch();
      } else if (length === -ENOBUFS) {
        this.#hasLost = true;
      } else if (length < 0 && length !== -EINTR) {
        if (this.#hasLost) {
          this.#hasLost = false;
          this.#listener.lost();
        }
        return;
      }
    }
  }

  close(): void {
    if (this.#descriptor < 0) return;
    // Before Linux 6.6 the kernel does not notice that a listener is gone, and makes events for nobody.
    this.#send(PROC_CN_MCAST_IGNORE);
    libc.close(this.#descriptor);
    this.#descriptor = -1;
  }

  #listen(): boolean {
    libc.setReceiveRoom(this.#descriptor, RECEIVE_ROOM_BYTES);
    // struct sockaddr_nl: family, port (chosen by the kernel), groups.
    const address = new Uint32Array([libc.AF_NETLINK, 0, CN_IDX_PROC]);
    if (libc.bind(this.#descriptor, address, address.byteLength) !== 0) return false;
    if (!this.#send(PROC_CN_MCAST_LISTEN) || !this.#isAcknowledged()) return false;
    // Since Linux 6.6 the kinds can be chosen; older kernels drop this silently.
    this.#send(PROC_CN_MCAST_LISTEN, PROC_EVENT_FORK | PROC_EVENT_EXEC | PROC_EVENT_EXIT);
    return true;
  }

  /** The answer to a request is there when the request was sent; where nobody answers, nobody listens. */
  #isAcknowledged(): boolean {
    for (;;) {
      const length = this.#receive();
      if (length < 0 && length !== -EINTR) return false;
      if (length < DATA_AT + 4 || this.#view.getUint32(EVENT_AT, true) !== PROC_EVENT_NONE) continue;
      // Others' answers come to all: ours acknowledges the number that we sent.
      if (this.#view.getUint32(ACKNOWLEDGED_AT, true) !== process.pid + 1) continue;
      return this.#view.getUint32(DATA_AT, true) === 0;
    }
  }

  #send(...words: number[]): boolean {
    const lengthBytes = words.length * Uint32Array.BYTES_PER_ELEMENT;
    const message = new Uint32Array([
      EVENT_AT + lengthBytes,
      NLMSG_DONE,
      0,
      0,
      CN_IDX_PROC,
      CN_VAL_PROC,
      0,
      process.pid,
      lengthBytes,
      ...words,
    ]);
    return libc.send(this.#descriptor, message, message.byteLength, 0) === message.byteLength;
  }

  #receive(): number {
    const length = libc.recv(this.#descriptor, this.#view, MESSAGE_BYTES, 0);
    return length >= 0 ? length : libc.failure();
  }

  #dispatch(): void {
    const view = this.#view;
    const word = (index: number) => view.getInt32(DATA_AT + 4 * index, true);
    const timeNs = Number(view.getBigUint64(TIME_AT, true));
    this.#toldNs = timeNs;
    switch (view.getUint32(EVENT_AT, true)) {
      // Of a fork: thread and process of the parent, then of the child. Threads are no processes.
      case PROC_EVENT_FORK:
        if (word(2) === word(3)) this.#listener.forked(word(1), word(3), timeNs);
        break;
      case PROC_EVENT_EXEC:
        this.#listener.executed(word(1), timeNs);
        break;
      case PROC_EVENT_EXIT:
        if (word(0) === word(1)) this.#listener.leaderExited(word(1), word(2));
        break;
    }
  }
}
