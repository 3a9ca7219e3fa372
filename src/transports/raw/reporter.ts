import type { Clock } from '../../kern/clock.ts';
import type { FileSystem } from '../../vfs/file-system.ts';
import type { TransportCounter } from '../../vfs/metric-families.ts';
import type { OperationMetrics } from '../../vfs/metrics.ts';
import { opcodeTable } from './handlers/table.ts';
import type { InFlight } from './in-flight.ts';
import type { Placement } from './placement.ts';
import { Opcode } from './protocol/constants.ts';

/** Beyond every opcode that is served. */
const OPCODE_LIMIT = 64;

/** Reports what a session serves, and how its loop runs, to info/metrics. */
export class Reporter {
  readonly #clock: Clock;
  readonly #operations: OperationMetrics;
  /** Kinds of operations, by opcode. */
  readonly #kinds = new Uint8Array(OPCODE_LIMIT);
  readonly #unknownKind: number;
  /** When the request that is served now arrived, on the monotonic clock, in milliseconds. */
  receivedMs = 0;
  /** Turns of the loop that found no request, and those of them after which it slept. */
  idleTurns = 0;
  sleeps = 0;
  /** Answers that the kernel has sent while the server went on. */
  backgroundAnswers = 0;

  constructor({ kernel, operations }: FileSystem) {
    this.#clock = kernel.host.clock;
    this.#operations = operations;
    this.#unknownKind = operations.kind('unknown');
    this.#kinds.fill(this.#unknownKind);
    opcodeTable.forEach((entry, opcode) => {
      if (entry !== undefined) this.#kinds[opcode] = operations.kind(entry.name);
    });
  }

  /** A request has been answered by its handler, or needs no answer. */
  answered(opcode: number, result: number): void {
    this.#operations.end(this.#kindOf(opcode), result, this.#clock.monotonicMs() - this.receivedMs, -1);
  }

  /** A request has been answered by the end of its operation. What it waited for others is no time of its service. */
  ended(thread: InFlight, result: number): void {
    // A close that nobody has asked for.
    if (thread.unique === 0) return;
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
    ];
  }

  #kindOf(opcode: number): number {
    return this.#kinds[opcode] ?? this.#unknownKind;
  }
}
