import createDebug from 'debug';
import { EAGAIN, EPIPE } from '../../../kern/errno.ts';
import type { Operation } from '../../../kern/operation.ts';
import { Thread } from '../../../kern/scheduler.ts';
import type { Work } from '../../../kern/work.ts';
import type { FileSystem } from '../../../tree/file-system.ts';
import type { BufferPool } from '../device/buffer-pool.ts';
import type { Device } from '../device/device.ts';
import { sendBytes } from '../device/send-bytes.ts';
import { Opcode, OUT_HEADER_BYTES } from '../protocol/constants.ts';
import { IoctlOut, OpenOut, WriteOut } from '../protocol/layouts.ts';
import { opcodes } from '../protocol/opcodes.ts';
import type { Reply } from '../protocol/reply.ts';
import type { InFlight } from './in-flight.ts';
import type { Openings } from './openings.ts';
import type { PollNotices } from './poll-notices.ts';
import type { Reporter } from './reporter.ts';
import type { RequestTable } from './request-table.ts';
import type { StreamSizes } from './stream-sizes.ts';
import type { TextSizes } from './text-sizes.ts';

const log = createDebug('ipcfs:session');

/** What answers are made with. */
export interface AnswerParts {
  readonly fileSystem: FileSystem;
  readonly device: Device;
  readonly buffers: BufferPool;
  readonly requests: RequestTable;
  readonly reply: Reply;
  readonly notices: PollNotices;
  readonly openings: Openings;
  readonly sizes: StreamSizes;
  readonly textSizes: TextSizes;
  readonly reporter: Reporter;
}

/** Sends answers, and before each what the call has caused beside it. */
export class Answers {
  readonly #parts: AnswerParts;

  constructor(parts: AnswerParts) {
    this.#parts = parts;
  }

  /** Sends what calls have caused beside their answers: before these. */
  sendNotices(): void {
    const signals = this.#parts.fileSystem.kernel.host.flushSigio?.() ?? null;
    if (signals !== null) this.background(signals);
    this.#parts.notices.send();
  }

  /** Sends very many notices in slices, before others are added to them. */
  thinNotices(): void {
    const { notices } = this.#parts;
    if (notices.areMany) this.background(notices.sendInSteps());
  }

  /** Does work that belongs to no call: a slice now, and the rest with calls in between. */
  background(work: Work<void>, onEnd: (() => void) | null = null): void {
    const { kernel } = this.#parts.fileSystem;
    const thread = new Thread();
    thread.operation = charged(kernel.slicer.runCharged(work));
    thread.onExit = onEnd;
    kernel.scheduler.start(thread);
  }

  /** Sends an answer: a negative errno, or the length of the payload that lies in the reply. False when the kernel did not want it. */
  send(to: InFlight, result: number): boolean {
    this.sendNotices();
    const { reply, device } = this.#parts;
    const length = result < 0 ? reply.header(to, result, 0) : reply.header(to, 0, result);
    return device.send(reply, length);
  }

  /**
   * Sends very many notices in slices, and then has `answer` send the answer to `request`, whose payload of `payloadBytes` lies in the reply.
   * The kernel may send the request again meanwhile.
   */
  afterNotices(request: InFlight, payloadBytes: number, answer: () => void): void {
    const { notices, reply, requests } = this.#parts;
    const payload = reply.bytes.slice(OUT_HEADER_BYTES, OUT_HEADER_BYTES + payloadBytes);
    requests.postpone(request);
    this.background(notices.sendInSteps(), () => {
      requests.resume(request);
      reply.bytes.set(payload, OUT_HEADER_BYTES);
      answer();
    });
  }

  /** Answers a request whose operation has ended with `result`, for which `resultOf` has been asked. */
  end(request: InFlight, result: number): void {
    const { device, buffers, fileSystem, reply, reporter } = this.#parts;
    switch (request.opcode) {
      case Opcode.READ:
        if (result > 0) {
          this.sendNotices();
          reply.header(request, 0, result);
          if (sendBytes(device, buffers, reply, request.gather)) reporter.backgroundAnswers++;
        } else {
          this.send(request, result);
        }
        return;
      case Opcode.WRITE:
        // The kernel turns an error of a later part into a short count, which is no reason for a signal (P60).
        if (result === -EPIPE && !request.isContinuation) fileSystem.kernel.host.postSigpipe(request.pid);
        if (result < 0) {
          this.send(request, result);
        } else {
          reply.setU32(WriteOut.size, result);
          reply.setU32(WriteOut.padding, 0);
          this.send(request, WriteOut.bytes);
        }
        return;
      case Opcode.OPEN:
        this.#endOpen(request, result);
        return;
      case Opcode.IOCTL:
        this.send(request, result < 0 ? result : ioctlOut(reply, request, result));
        return;
      default:
        this.send(request, result);
    }
  }

  #endOpen(request: InFlight, result: number): void {
    const { fileSystem, openings, sizes, textSizes } = this.#parts;
    const file = request.file!;
    if (result < 0) {
      fileSystem.openFiles.drop(file);
      this.send(request, result);
      return;
    }
    sizes.opened(file, request.isAppender, false);
    textSizes.opened(file);
    openings.answerWith(0, file);
    if (this.send(request, OpenOut.bytes)) return;
    log('open of handle %d was not wanted any more', file.handle);
    openings.abandon(file);
  }
}

/** struct fuse_ioctl_out and the bytes that the operation has given; returns their length. */
function ioctlOut(reply: Reply, { gather }: InFlight, result: number): number {
  reply.clear(0, IoctlOut.bytes);
  reply.setU32(IoctlOut.result, result);
  gather.copyTo(reply.bytes, OUT_HEADER_BYTES + IoctlOut.bytes);
  return IoctlOut.bytes + gather.total;
}

/** What the end of an operation answers. */
export function resultOf(request: InFlight, result: number): number {
  // A later part of one read(2) that finds nothing ends that read with what it has (P33).
  const isRest = request.isContinuation && request.opcode === Opcode.READ;
  return isRest && result === -EAGAIN ? 0 : result;
}

function* charged(work: Operation<void>): Operation<number> {
  yield* work;
  return 0;
}

/** Fails a request that no handler has served; one that wants no answer gets none. */
export function refuse(call: InFlight, result: number): void {
  if (opcodes[call.opcode]!.isAnswered) call.answer(result);
  else call.end();
}
