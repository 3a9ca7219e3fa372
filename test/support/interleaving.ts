import { Resource } from '../../src/kern/accounting.ts';
import { assert } from '../../src/kern/assert.ts';
import { EAGAIN, EINTR, ENOMEM, ENXIO, EPIPE } from '../../src/kern/errno.ts';
import { File } from '../../src/kern/file.ts';
import type { Operation } from '../../src/kern/operation.ts';
import { MemoryReadUio, WriteUio } from '../../src/kern/uio.ts';
import { anonymousPipeOps } from '../../src/pipe/anonymous.ts';
import { type PipeEnd, Presence } from '../../src/pipe/end.ts';
import type { Fifo } from '../../src/pipe/fifo.ts';
import { atEndOfFile } from '../../src/pipe/read.ts';
import { Call, endOf, openFlags, user, World } from './engine.ts';
import type { Random } from './random.ts';
import { MAX_STREAM_WRITERS, Stream, type StreamWriter } from './stream.ts';

const MAX_STEPS = 20_000;

/** One call of a process: started when the one before is answered. `answered` checks the result. */
interface Step {
  readonly file: File;
  readonly operation: () => Operation<number>;
  readonly answered: (result: number, interrupted: boolean) => void;
}

/** A sequence of calls on one file. The end of it drops the process's reference to the file. */
class Process {
  readonly steps: Step[] = [];
  isStarted = false;

  readonly finished: () => void;

  constructor(finished: () => void) {
    this.finished = finished;
  }
}

/** Processes that use one FIFO and one pair in an order that chance decides, and the rules that hold in any order. */
export class Interleaving {
  readonly #random: Random;
  readonly #world: World;
  readonly #streams = new Map<PipeEnd, Stream>();
  readonly #ends: PipeEnd[] = [];
  readonly #fifos = new Map<PipeEnd, Fifo>();
  readonly #processes: Process[] = [];
  /** Calls in progress, and the file that each is made on. */
  readonly #calls = new Map<Call, File>();
  #started = 0;
  #answered = 0;
  /** What happened, counted over many interleavings. */
  readonly #tally: Map<string, number>;

  constructor(random: Random, tally: Map<string, number>) {
    this.#random = random;
    this.#tally = tally;
    this.#world = new World({
      choose: (count) => random.below(count),
      maxPipeKvaBytes: random.pick([24_576, 45_056, 65_536, 65_536, 131_072, 131_072, 1 << 30, 1 << 30]),
    });
    const { pipes } = this.#world;
    pipes.minDirectBytes = random.pick([1024, 8192]);
    pipes.maxDirectBytes = random.pick([3000, 65_536]);
    pipes.policy = {
      created: (pair) => {
        for (const end of pair.ends) {
          this.#ends.push(end);
          this.#streams.set(end, new Stream(end));
          if (pair.fifo !== null) this.#fifos.set(end, pair.fifo);
        }
      },
    };
  }

  /** Lets everything run to its end and checks it. */
  run(): void {
    this.#planPair();
    this.#planFifo();
    const { scheduler } = this.#world.kernel;
    for (let step = 0; ; step++) {
      assert(step < MAX_STEPS, 'an interleaving comes to an end');
      if (this.#random.oneIn(10)) this.#startProcess();
      if (this.#random.oneIn(15)) this.#interruptSomebody();
      if (scheduler.runOne()) {
        this.#checkInvariants();
      } else {
        for (const [call, file] of this.#calls) this.#checkSleeper(call, file);
        if (!this.#startProcess() && !this.#interruptSomebody()) break;
      }
    }
    assert(scheduler.sleepingCount === 0 && scheduler.runnableCount === 0, 'every call has ended');
    assert(this.#answered === this.#started, 'every call was answered once');
    assert(this.#world.pipes.budget.usedBytes === 0, 'no memory is left booked');
    assert(this.#world.charged(Resource.PipeBytes) === 0, 'no user is charged for a ring that has gone');
    assert(this.#world.charged(Resource.BlockedCalls) === 0, 'no user is charged for a call that has ended');
    for (const stream of this.#streams.values()) stream.check();
  }

  #count(event: string): void {
    this.#tally.set(event, (this.#tally.get(event) ?? 0) + 1);
  }

  #planPair(): void {
    for (const file of this.#world.pair()) {
      let references = this.#random.between(1, 3);
      const count = references;
      for (let i = 0; i < count; i++) {
        const process = new Process(() => {
          if (--references === 0) this.#startStep(new Process(() => undefined), this.#close(file));
        });
        if (this.#random.oneIn(2)) this.#planReads(process, file);
        else this.#planWrites(process, file);
        this.#processes.push(process);
      }
      if (this.#random.oneIn(3)) file.flags |= openFlags('n');
    }
  }

  #planFifo(): void {
    const fifo = this.#world.fifo();
    const count = this.#random.between(2, MAX_STREAM_WRITERS - 1);
    for (let i = 0; i < count; i++) {
      const mode = this.#random.pick(['r', 'r', 'w', 'w', 'rn', 'wn', 'rw']);
      const file = new File(openFlags(mode), anonymousPipeOps, user);
      const process = new Process(() => undefined);
      const mayWait = i > 0 || this.#random.oneIn(2);
      process.steps.push({
        file,
        operation: function* () {
          return mayWait ? yield* fifo.open(file) : fifo.openAtOnce(file, true);
        },
        answered: (result, interrupted) => {
          if (result !== 0) {
            this.#count(`open ${result}`);
            const expected = result === -ENOMEM || (result === -ENXIO && mode === 'wn');
            assert(expected || (result === -EINTR && interrupted), `an open does not fail with ${result}`);
            process.steps.length = 0;
            return;
          }
          if (file.readable) this.#planReads(process, file);
          if (file.writable) this.#planWrites(process, file);
          process.steps.push(this.#close(file));
        },
      });
      this.#processes.push(process);
    }
  }

  #close(file: File): Step {
    return {
      file,
      operation: () => file.ops.close(file),
      answered: (result) => {
        assert(result === 0, 'a close succeeds');
      },
    };
  }

  #planReads(process: Process, file: File): void {
    for (let i = this.#random.between(1, 6); i > 0; i--) {
      const buffer = new Uint8Array(this.#size());
      process.steps.push({
        file,
        operation: () => file.ops.read(file, new MemoryReadUio([buffer]), user),
        answered: (result, interrupted) => {
          const end = endOf(file);
          if (result > 0) {
            this.#streams.get(end)!.read(buffer.subarray(0, result));
            return;
          }
          this.#count(`read ${result}`);
          const expected =
            result === 0
              ? atEndOfFile(file, end) && end.queuedBytes === 0
              : result === -EAGAIN
                ? file.nonBlocking && end.queuedBytes === 0
                : result === -EINTR && interrupted;
          assert(expected, `a read does not end with ${result} here`);
        },
      });
    }
  }

  #planWrites(process: Process, file: File): void {
    let writer: StreamWriter | null = null;
    let length = 0;
    for (let i = this.#random.between(1, 6); i > 0; i--) {
      process.steps.push({
        file,
        operation: () => {
          writer ??= this.#streams.get(endOf(file).peer)!.addWriter();
          length = this.#size();
          return file.ops.write(file, new WriteUio(this.#split(writer.next(length))), user);
        },
        answered: (result, interrupted) => {
          const atomic = length <= this.#world.pipes.pipeBufBytes;
          const cut = file.nonBlocking || interrupted || endOf(file).peer.endOfFile;
          if (result > 0) {
            assert(
              result === length || (cut && !atomic),
              `a write of ${length} does not end after ${result}`,
            );
            if (result < length) this.#count('short write');
            writer!.wrote(result, atomic);
            return;
          }
          this.#count(`write ${result}`);
          const expected =
            (result === -EAGAIN && file.nonBlocking) ||
            (result === -EINTR && interrupted) ||
            (result === -EPIPE && endOf(file).peer.endOfFile);
          assert(expected, `a write does not end with ${result} here`);
        },
      });
    }
  }

  /** Short ones most often, so that many fit into a ring; some long enough to be written directly or to fill it. */
  #size(): number {
    switch (this.#random.below(6)) {
      case 0:
        return this.#random.between(1024, 6000);
      case 1:
        return this.#random.between(6000, 30_000);
      default:
        return this.#random.between(1, 700);
    }
  }

  #split(data: Uint8Array): Uint8Array[] {
    if (!this.#random.oneIn(3)) return [data];
    const at = this.#random.below(data.length);
    return [data.subarray(0, at), data.subarray(at)];
  }

  #startProcess(): boolean {
    const waiting = this.#processes.filter((process) => !process.isStarted);
    if (waiting.length === 0) return false;
    const process = this.#random.pick(waiting);
    process.isStarted = true;
    this.#startStep(process, process.steps.shift()!);
    return true;
  }

  #startStep(process: Process, step: Step): void {
    const call = new Call(this.#world.kernel, step.operation());
    const { thread } = call;
    const answer = thread.onExit!;
    thread.onExit = (result) => {
      answer(result, thread);
      this.#answered++;
      this.#calls.delete(call);
      step.answered(result, thread.interrupted);
      const next = process.steps.shift();
      if (next !== undefined) this.#startStep(process, next);
      else process.finished();
    };
    this.#started++;
    this.#calls.set(call, step.file);
    this.#world.kernel.scheduler.enqueue(thread);
  }

  #interruptSomebody(): boolean {
    if (this.#calls.size === 0) return false;
    this.#world.kernel.scheduler.interrupt(this.#random.pick([...this.#calls.keys()]).thread);
    return true;
  }

  /** Sleepers that no quota counts, as no signal ends them. */
  #closing(): number {
    return [...this.#calls.keys()].filter((call) => call.waitMessage === 'pipecl').length;
  }

  #checkInvariants(): void {
    for (const end of this.#ends) end.checkInvariants();
    const { kernel, pipes } = this.#world;
    const ringBytes = this.#world.charged(Resource.PipeBytes);
    assert(ringBytes === pipes.budget.usedBytes, 'every ring is charged to a user');
    const blockedCalls = this.#world.charged(Resource.BlockedCalls);
    assert(blockedCalls >= kernel.scheduler.sleepingCount - this.#closing(), 'every sleeper is charged for');
    for (const call of this.#calls.keys()) {
      if (call.waitMessage !== null) this.#count(call.waitMessage);
    }
  }

  /** Nothing is runnable: whoever sleeps waits for something that has not happened. */
  #checkSleeper(call: Call, file: File): void {
    const message = call.waitMessage!;
    if (message === 'fifoor' || message === 'fifoow') {
      const fifo = this.#fifos.get(endOf(file))!;
      const peers = message === 'fifoor' ? fifo.writers : fifo.readers;
      assert(peers === 0, 'an opener sleeps only while its other side is missing');
      return;
    }
    assert(message !== 'pipecl', 'a close does not wait for ever');
    if (message === 'piperd') {
      const end = endOf(file);
      assert(end.queuedBytes === 0, 'no reader sleeps beside bytes');
      assert(!atEndOfFile(file, end), 'no reader sleeps at end-of-file');
      return;
    }
    const end = endOf(file).peer;
    assert(!end.endOfFile && end.presence === Presence.Active, 'no writer sleeps without a reader');
    assert(end.chunk !== null || end.ring.count > 0, 'no writer sleeps beside an empty ring');
    assert(message !== 'pipdwt' || end.chunk !== null, 'a direct writer sleeps only for its chunk');
  }
}
