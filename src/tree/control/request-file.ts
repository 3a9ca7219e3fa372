import { type Credentials, writerCredentials } from '../../kern/credentials.ts';
import { EAGAIN, EINTR, EINVAL, ENOMEM, errnoName } from '../../kern/errno.ts';
import type { FileOps } from '../../kern/file.ts';
import type { Operation } from '../../kern/operation.ts';
import { POLLIN, POLLOUT, POLLRDNORM, PollQueue } from '../../kern/poll.ts';
import { bytesOfText, textOfBytes } from '../../vfs/text-file.ts';
import { Node, type NodeContext, S_IFREG } from '../../vfs/node.ts';
import { noFileOps, type OpenFile } from '../../vfs/open-file.ts';

const CONTROL_PERMISSIONS = 0o666;
export const LINE_LIMIT_BYTES = 4096;
/** Answers that nobody reads: beyond this, writes are short, then EAGAIN, until somebody reads. */
const ANSWER_LIMIT_BYTES = 64 * 1024;
/** Longest answer to one request. */
export const LONGEST_ANSWER_BYTES = 16 * 1024;
/** About what a byte of a write takes while its requests are carried out. */
const PARSED_BYTES = 16;

/** A request that cannot be carried out as it is written: why, and what to do, for the person who wrote it. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
  /** A negative errno. */
  readonly result: number;

  constructor(message: string, result: number = -EINVAL) {
    super(message);
    this.result = result;
  }
}

/** One open control file: half a request, answers not read yet, and the state that the file keeps for its requests. */
export class Conversation<State> {
  readonly file: OpenFile;
  readonly state: State;
  pending = '';
  answers = '';
  /** What the opener is charged for between two calls. */
  #keptBytes = 0;
  /** Pollers that wait for answers to requests that somebody else writes. */
  readonly pollQueue = new PollQueue();

  constructor(file: OpenFile, state: State) {
    this.file = file;
    this.state = state;
  }

  /** Charges for `sizeBytes` more that the state keeps; false when the opener's quota does not hold them. */
  keep(sizeBytes: number): boolean {
    if (!this.file.holdMore(sizeBytes)) return false;
    this.#keptBytes += sizeBytes;
    return true;
  }

  /** Charges for what is left after a call, which is less than the call was charged for. */
  settle(stateBytes: number): void {
    const keptBytes = this.answers.length + this.pending.length + stateBytes;
    if (this.file.holdMore(keptBytes - this.#keptBytes)) this.#keptBytes = keptBytes;
  }
}

/** A file that takes a request a line, and answers each with lines on the same descriptor. Each open is a conversation. */
export abstract class RequestFile<State> extends Node {
  override readonly type = S_IFREG;

  constructor(context: NodeContext) {
    super(context, { mode: CONTROL_PERMISSIONS, uid: 0, gid: 0 });
  }

  /** The state of a new conversation. */
  protected abstract begin(caller: Credentials): State;

  /**
   * Carries out a request of one word or more, with the rights of `caller`: what its answer says after `ok`, 0 for a bare ok, or a
   * negative errno. Throws BadRequest to explain.
   */
  protected abstract perform(
    talk: Conversation<State>,
    words: readonly string[],
    caller: Credentials,
  ): Operation<string | number>;

  /** Bytes that the state takes between two calls, for which `keep` has charged. */
  protected stateBytes(_state: State): number {
    return 0;
  }

  /** The conversation's last descriptor is closed. */
  protected end(_state: State): void {
    // Most states hold nothing.
  }

  override *open(file: OpenFile): Operation<number> {
    file.isStream = true;
    file.ops = requestFileOps;
    file.data = new Conversation(file, this.begin(this.#caller(file.credentials)));
    return 0;
  }

  /** Takes whole lines and keeps the rest. A signal that ends a wait loses the requests after it, and says so. */
  *write(talk: Conversation<State>, text: string, credentials: Credentials): Operation<number> {
    const { file } = talk;
    if (talk.answers.length > ANSWER_LIMIT_BYTES) return -EAGAIN;
    // What the answers may come to, as they cannot be refused when the requests have been carried out.
    const heldBytes = ANSWER_LIMIT_BYTES + LONGEST_ANSWER_BYTES + PARSED_BYTES * text.length;
    if (!file.holdMore(heldBytes)) return -ENOMEM;
    try {
      return yield* this.#carryOut(talk, text, credentials);
    } finally {
      file.holdMore(-heldBytes);
      this.settleTalk(talk);
    }
  }

  settleTalk(talk: Conversation<State>): void {
    talk.settle(this.stateBytes(talk.state));
  }

  close(talk: Conversation<State>): void {
    this.end(talk.state);
  }

  *#carryOut(talk: Conversation<State>, text: string, credentials: Credentials): Operation<number> {
    const lines = (talk.pending + text).split('\n');
    const rest = lines.pop()!;
    if (rest.length > LINE_LIMIT_BYTES || lines.some((line) => line.length > LINE_LIMIT_BYTES))
      return -EINVAL;
    const caller = this.#caller(writerCredentials(talk.file.credentials, credentials));
    let taken = -talk.pending.length;
    talk.pending = '';
    for (const line of lines) {
      if (talk.answers.length > ANSWER_LIMIT_BYTES) break;
      taken += line.length + 1;
      const words = line.split(/[ \t]+/).filter((word) => word !== '');
      if (words.length === 0 || words[0]!.startsWith('#')) continue;
      const answer = yield* this.#answer(talk, words, caller);
      talk.answers += `${answer}\n`;
      talk.pollQueue.wakeup();
    }
    if (taken === text.length - rest.length) {
      talk.pending = rest;
      taken = text.length;
    }
    return taken;
  }

  #caller(credentials: Credentials): Credentials {
    const { host } = this.context.kernel;
    return {
      ...credentials,
      pid: host.processOf(credentials.pid),
      groups: credentials.groups ?? host.supplementaryGroups(credentials.pid),
    };
  }

  *#answer(talk: Conversation<State>, words: readonly string[], caller: Credentials): Operation<string> {
    try {
      const result = yield* this.perform(talk, words, caller);
      if (typeof result === 'string') return `ok ${result}`;
      // A wait that was refused is no signal.
      const refusal = result === -EINTR ? this.context.kernel.scheduler.currentRefusal : 0;
      if (refusal !== 0) return `error ${errnoName(refusal)}`;
      return result < 0 ? `error ${errnoName(result)}` : 'ok';
    } catch (error) {
      if (error instanceof BadRequest) return `error ${errnoName(error.result)} ${error.message}`;
      throw error;
    }
  }
}

function talkOf(data: unknown): Conversation<unknown> {
  return data as Conversation<unknown>;
}

function nodeOf(file: object): RequestFile<unknown> {
  return (file as OpenFile).node as RequestFile<unknown>;
}

const requestFileOps: FileOps = {
  ...noFileOps,
  /** Answers that are there; 0 when there are none, as every request has been answered when its write returns. */
  *read(file, uio) {
    const talk = talkOf(file.data);
    const count = Math.min(uio.residual, talk.answers.length);
    const fault = uio.moveOut(bytesOfText(talk.answers.slice(0, count)), 0, count);
    if (fault !== 0) return fault;
    talk.answers = talk.answers.slice(count);
    nodeOf(file).settleTalk(talk);
    return count;
  },
  *write(file, uio, credentials) {
    const bytes = new Uint8Array(uio.residual);
    const fault = uio.moveIn(bytes, 0, bytes.length);
    if (fault !== 0) return fault;
    return yield* nodeOf(file).write(talkOf(file.data), textOfBytes(bytes), credentials);
  },
  poll(file, events, poller) {
    const talk = talkOf(file.data);
    if (poller !== null) talk.pollQueue.record(poller);
    const hasAnswers = talk.answers !== '';
    return events & (hasAnswers ? POLLIN | POLLRDNORM | POLLOUT : POLLOUT);
  },
  *close(file) {
    nodeOf(file).close(talkOf(file.data));
    return 0;
  },
};
