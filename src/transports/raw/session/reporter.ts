import type { Clock } from '../../../kern/clock.ts';
import type { FileSystem } from '../../../tree/file-system.ts';
import type { OperationMetrics } from '../../../vfs/metrics.ts';
import type { TransportCounter } from '../../../vfs/transport.ts';
import type { InFlight } from './in-flight.ts';
import type { Placement } from '../device/placement.ts';
import { Opcode } from '../protocol/constants.ts';
import { opcodes } from '../protocol/opcodes.ts';

/** Beyond every opcode that is served. */
const OPCODE_LIMIT = 64;

const MS_PER_SECOND = 1000;
/** The longest step is that of this time and as much before. */
const PERIOD_MS = 60_000;

/** Reports what a session serves, and how its loop runs, to info/metrics. */
export class Reporter {
  readonly #clock: Clock;
  readonly #operations: OperationMetrics;
  /** Kinds of operations, by opcode. */
  readonly #kinds = new Uint8Array(OPCODE_LIMIT);
  readonly #unknownKind: number;
  /** Turns of the loop that found no request, and those of them after which it slept. */
  idleTurns = 0;
  sleeps = 0;
  /** Answers that the kernel has sent while the server went on. */
  backgroundAnswers = 0;
  /** The loop's last look at the requests; Infinity when it has slept since, or not looked. */
  #lookedMs = Infinity;
  /** The longest steps of the current period, and of the one before. */
  #longestMs = 0;
  #longestBeforeMs = 0;
  #periodEndMs = 0;

  constructor({ kernel, operations }: FileSystem) {
    this.#clock = kernel.host.clock;
    this.#operations = operations;
    this.#unknownKind = operations.kind('unknown');
    this.#kinds.fill(this.#unknownKind);
    opcodes.forEach((entry, opcode) => {
      if (entry !== undefined) this.#kinds[opcode] = operations.kind(entry.name);
    });
  }

  /** The loop has looked at the requests: what it did since the last look was one step. Costs no look at the clock. */
  stepped(nowMs: number): void {
    const stepMs = nowMs - this.#lookedMs;
    this.#lookedMs = nowMs;
    if (nowMs >= this.#periodEndMs) this.#beginPeriod(nowMs);
    if (stepMs > this.#longestMs) this.#longestMs = stepMs;
  }

  /** The loop has slept, which was no step; what it does from now on is. */
  wokeUp(nowMs: number): void {
    this.#lookedMs = nowMs;
  }

  #beginPeriod(nowMs: number): void {
    const isNext = nowMs < this.#periodEndMs + PERIOD_MS;
    this.#longestBeforeMs = isNext ? this.#longestMs : 0;
    this.#longestMs = 0;
    this.#periodEndMs = nowMs + PERIOD_MS;
  }

  /** A request has been answered by its handler, or needs no answer. */
  answered({ opcode, receivedMs }: InFlight, result: number): void {
    this.#operations.end(this.#kindOf(opcode), result, this.#clock.monotonicMs() - receivedMs, -1);
  }

  /** A request has been answered by the end of its operation. What it waited for others is no time of its service. */
  ended(thread: InFlight, result: number): void {
    const { node, opcode, sleptMs } = thread;
    const elapsedMs = this.#clock.monotonicMs() - thread.receivedMs;
    this.#operations.end(this.#kindOf(opcode), result, elapsedMs - Math.max(sleptMs, 0), sleptMs);
    if (result <= 0) return;
    if (opcode === Opcode.READ) this.#operations.hasRead(node!.engine, result);
    else if (opcode === Opcode.WRITE) this.#operations.hasWritten(node!.engine, result);
  }

  /** What info/metrics shows of the loop. */
  counters(placement: Placement | null): readonly TransportCounter[] {
    return [
      {
        name: 'ipcfs_loop_idle_turns_total',
        help: 'Turns of the serving loop that found no request.',
        value: this.idleTurns,
      },
      {
        name: 'ipcfs_loop_sleeps_total',
        help: 'Turns of the serving loop that slept until something came.',
        value: this.sleeps,
      },
      {
        name: 'ipcfs_loop_moves_total',
        help: 'Times that the serving thread has moved to the processor of a caller that writes much.',
        value: placement?.moves ?? 0,
      },
      {
        name: 'ipcfs_background_answers_total',
        help: 'Large answers that were copied to their readers while the serving thread went on.',
        value: this.backgroundAnswers,
      },
      {
        name: 'ipcfs_longest_step_seconds',
        type: 'gauge',
        help:
          'Longest time that the serving thread has not looked at its requests, of the last one to two minutes: ' +
          'garbage collection and other programs on its processor included, sleeping not.',
        value: Math.max(this.#longestMs, this.#longestBeforeMs) / MS_PER_SECOND,
      },
    ];
  }

  #kindOf(opcode: number): number {
    return this.#kinds[opcode] ?? this.#unknownKind;
  }
}
