import { EAGAIN, EINTR, EINVAL } from '../../kern/errno.ts';
import type { FileOps } from '../../kern/file.ts';
import { type Operation, sleep, WakeReason } from '../../kern/operation.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../kern/poll.ts';
import type { ReadUio, WriteUio } from '../../kern/uio.ts';
import { Node, type NodeContext, S_IFIFO, S_IFREG } from '../../vfs/node.ts';
import { noFileOps, type OpenFile } from '../../vfs/open-file.ts';
import { textOfBytes } from '../../vfs/text-file.ts';
import type { Trace } from './trace.ts';
import type { TraceForm, TraceReader } from './trace-reader.ts';

/** Reading shows what is for everybody; writing changes only what the open file itself reads. */
const PERMISSIONS = 0o666;
const LONGEST_WRITE_BYTES = 4096;
/** More than any call moves. */
const ALL_BYTES = 2 ** 31 - 1;

const lineSleep = { message: 'trace', interruptible: true };
const paceSleep = { message: 'tracepace', interruptible: true };

/** info/trace and info/trace.json: every open reads what happens from then on, and waits for more. */
export class TraceFile extends Node {
  override readonly type = S_IFREG;
  override readonly isAliased = true;
  readonly trace: Trace;
  readonly #form: TraceForm;

  constructor(context: NodeContext, trace: Trace, form: TraceForm) {
    super(context, { mode: PERMISSIONS, uid: 0, gid: 0 });
    this.trace = trace;
    this.#form = form;
    trace.leaveOut(this);
  }

  /** Tools that walk a tree would wait for its end. */
  override get listedType(): number {
    return S_IFIFO;
  }

  override *open(file: OpenFile): Operation<number> {
    return this.openAtOnce(file);
  }

  override openAtOnce(file: OpenFile): number {
    if (!file.readable) return -EINVAL;
    const reader = this.trace.subscribe(file, this.#form);
    if (typeof reader === 'number') return reader;
    file.isStream = true;
    file.data = reader;
    file.ops = traceOps;
    return 0;
  }

  *read(file: OpenFile, uio: ReadUio): Operation<number> {
    if (uio.residual === 0) return 0;
    const { trace } = this;
    const reader = file.data as TraceReader;
    for (;;) {
      if (reader.hasText) return reader.take(uio);
      if (reader.hasLines) {
        const delayMs = trace.delayOf(reader);
        if (delayMs <= 0) trace.makeBatch(reader);
        else if ((yield* sleep(trace.channel, paceSleep, delayMs)) === WakeReason.Interrupted) return -EINTR;
        continue;
      }
      if (reader.isAtEnd) return 0;
      if (file.nonBlocking) return -EAGAIN;
      if ((yield* sleep(trace.channel, lineSleep)) === WakeReason.Interrupted) return -EINTR;
    }
  }

  /** Lines that say what to read: `content [BYTES]`, and `end`. All of them, or none. */
  *write(file: OpenFile, uio: WriteUio): Operation<number> {
    const length = uio.residual;
    if (length > LONGEST_WRITE_BYTES) return -EINVAL;
    const bytes = new Uint8Array(length);
    const fault = uio.moveIn(bytes, 0, length);
    if (fault !== 0) return fault;
    const requests: ((reader: TraceReader) => void)[] = [];
    for (const line of textOfBytes(bytes).split('\n')) {
      if (line.trim() === '') continue;
      const request = parseRequest(line);
      if (request === null) return -EINVAL;
      requests.push(request);
    }
    for (const request of requests) request(file.data as TraceReader);
    // A reader that waits for more may be at its end.
    this.trace.channel.wakeup();
    this.trace.pollQueue.wakeup();
    return length;
  }

  /** `>` and `<>` in shells: there is nothing to cut off. */
  protected override checkAttributes(change: { readonly sizeBytes?: number }): number {
    return change.sizeBytes === undefined || change.sizeBytes === 0 ? 0 : -EINVAL;
  }
}

function parseRequest(line: string): ((reader: TraceReader) => void) | null {
  const [, word, number] = /^[ \t]*(content|end)(?:[ \t]+([0-9]+))?[ \t]*$/.exec(line) ?? [];
  if (word === 'end' && number === undefined) {
    return (reader) => {
      reader.end();
    };
  }
  if (word !== 'content') return null;
  const contentBytes = number === undefined ? ALL_BYTES : Math.min(Number(number), ALL_BYTES);
  return (reader) => {
    reader.contentBytes = contentBytes;
  };
}

const traceOps: FileOps = {
  ...noFileOps,
  read: (file, uio) => nodeOf(file as OpenFile).read(file as OpenFile, uio),
  write: (file, uio) => nodeOf(file as OpenFile).write(file as OpenFile, uio),
  poll(file, events, poller) {
    const reader = file.data as TraceReader;
    const isReadable = reader.hasText || reader.hasLines || reader.isAtEnd;
    let ready = isReadable ? events & (POLLIN | POLLRDNORM) : 0;
    if (file.writable) ready |= events & (POLLOUT | POLLWRNORM);
    if (poller !== null) nodeOf(file as OpenFile).trace.pollQueue.record(poller);
    return ready;
  },
  *close(file) {
    nodeOf(file as OpenFile).trace.unsubscribe(file.data as TraceReader);
    return 0;
  },
};

function nodeOf(file: OpenFile): TraceFile {
  return file.node as TraceFile;
}
