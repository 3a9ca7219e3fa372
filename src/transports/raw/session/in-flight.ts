import { assert } from '../../../kern/assert.ts';
import type { Operation } from '../../../kern/operation.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import { Call } from '../../common/call.ts';
import { GatherUio } from '../device/gather-uio.ts';
import type { ReceiveBuffer, Request } from '../protocol/request.ts';

declare const proof: unique symbol;

/**
 * Proof that a request has its answer, or an operation whose end answers it. Only an InFlight gives one, so a handler that forgets the
 * answer does not compile.
 */
export interface Answered {
  readonly [proof]: true;
}

const ANSWERED = {} as Answered;

/** What an InFlight is served by. */
export interface RequestServer {
  /** Sends the handler's own answer: a negative errno, or the length of the payload that lies in the reply. */
  answer(request: InFlight, result: number): void;
  /** Runs `request.operation`, whose end answers. */
  start(request: InFlight): void;
  /** The request wants no answer. */
  end(request: InFlight): void;
}

/** Who is to answer a request. Each step is taken once, so there is never a second answer. */
export const AnswerState = {
  /** The handler. */
  Open: 0,
  /** The end of the operation that runs or sleeps. */
  Started: 1,
  /** Nobody any more. */
  Given: 2,
} as const;
export type AnswerState = (typeof AnswerState)[keyof typeof AnswerState];

/** A request: the right to answer it once, its operation while it runs or sleeps, and what its answer needs. */
export class InFlight extends Call {
  readonly #server: RequestServer;
  answerState: AnswerState = AnswerState.Given;
  unique = 0;
  /** When the request arrived, on the monotonic clock, in milliseconds. */
  receivedMs = 0;
  /** The kernel has sent the request again, and knows it by the marked unique since. */
  isResent = false;
  opcode = 0;
  /** For CREATE: the payload bytes already in place before the open's answer. */
  entryBytes = 0;
  /** For OPEN: see StreamSizes.opened. */
  isAppender = false;
  /** For the trace: the flags of OPEN, SETLK and SETLKW, the command of IOCTL. */
  flags = 0;
  /** For RELEASE: what is closed. For the trace. */
  released: OpenFile | null = null;
  /** What READ gathers, and an IOCTL that gives bytes. */
  readonly gather = new GatherUio();
  /** The receive buffer that a sleeping WRITE keeps; null when it does not need one. */
  buffer: ReceiveBuffer | null = null;
  /** It has come through an io_uring. */
  isFromRing = false;
  /** The bytes of a WRITE lie in memory that stays with the request until it is answered. */
  ownsBytes = false;
  /** Its user is charged for them. */
  isCharged = false;
  /** The later part of one read or write that the kernel has cut into requests. */
  isContinuation = false;
  /** The operation has slept: the session knows the thread as in flight. */
  hasSlept = false;

  constructor(server: RequestServer) {
    super();
    this.#server = server;
  }

  /** Takes over a request that has arrived. */
  begin(request: Request, receivedMs: number): void {
    assert(
      this.answerState === AnswerState.Given,
      'a request is answered before the next one takes its place',
    );
    this.answerState = AnswerState.Open;
    this.unique = request.unique;
    this.isResent = request.isResent;
    this.opcode = request.opcode;
    this.pid = request.credentials.pid;
    this.uid = request.credentials.uid;
    this.refusal = 0;
    this.isFromRing = request.buffer.isFromRing;
    this.ownsBytes = request.buffer.outside !== null;
    this.isContinuation = false;
    this.isAppender = false;
    this.receivedMs = receivedMs;
    this.sleptMs = -1;
  }

  /** Answers with a negative errno, or the length of the payload that lies in the reply. */
  answer(result: number): Answered {
    this.give(AnswerState.Open);
    this.#server.answer(this, result);
    return ANSWERED;
  }

  /** Has the end of `operation` answer. It may have ended when this returns. */
  run(operation: Operation<number>): Answered {
    assert(this.answerState === AnswerState.Open, 'a request has one operation, or one answer');
    this.answerState = AnswerState.Started;
    this.operation = operation;
    this.#server.start(this);
    return ANSWERED;
  }

  /** The request wants no answer. */
  end(): Answered {
    this.give(AnswerState.Open);
    this.#server.end(this);
    return ANSWERED;
  }

  /** The answer is about to be sent by who has the right to: nobody has it afterwards. */
  give(by: AnswerState): void {
    assert(
      this.answerState === by,
      'a request is answered once, by its handler or by the end of its operation',
    );
    this.answerState = AnswerState.Given;
  }
}
