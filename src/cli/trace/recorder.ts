import { setTimeout as delay } from 'node:timers/promises';
import { lookAtWaits } from '../blocked-calls/holders.ts';
import { describeDeadlock } from '../blocked-calls/wait-report.ts';
import { type BlockedCallRow, endersOf } from '../blocked-calls/wait-graph.ts';
import { CommandFailure, report } from '../failures.ts';
import type { MountPoint } from '../tables/mount-calls.ts';
import type { TraceOutputForm } from './forms.ts';
import type { TraceOutput } from './output.ts';
import type { StuckCall } from './picture/picture.ts';
import type { Selection } from './selection.ts';
import type { TraceSubscription } from './subscription.ts';
import { parseTraceLine } from './trace-lines.ts';

/** Calls that have waited less are not worth a look at who could end them. */
const SETTLED_MS = 200;
const PAUSE_MS = 200;
/** A look that takes long is followed by a longer pause: it must not slow what it looks at. */
const PAUSE_PER_LOOK = 4;
const LONGEST_PAUSE_MS = 1000;
/** What may be no deadlock after all is shown after so many looks in a row have seen it. */
const LOOKS_IN_DOUBT = 6;

export interface RecorderOptions {
  readonly mount: MountPoint;
  readonly trace: TraceSubscription;
  readonly selection: Selection;
  readonly form: TraceOutputForm;
  readonly output: TraceOutput;
  /** Whether a picture gets the deadlocks that the recorder finds itself. */
  readonly looksForDeadlocks: boolean;
}

/** Writes a trace in a form, and deadlocks into pictures. */
export class TraceRecorder {
  readonly #options: RecorderOptions;
  readonly #deadlocks = new Set<string>();
  /** How often in a row a doubtful one was seen. */
  #doubtful = new Map<string, number>();
  #isOver = false;
  /** Writes take turns. */
  #written: Promise<void> = Promise.resolve();
  lostLines = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Ends with the trace; fails with one line for a person. The output is whole in any case, as far as it could be written. */
  async record(): Promise<void> {
    const { output, form, looksForDeadlocks } = this.#options;
    await this.#write(form.header);
    if (form.picture !== undefined && looksForDeadlocks) void this.#watch();
    try {
      await this.#writeLines();
    } finally {
      this.#isOver = true;
      await this.#written;
      await output.end();
    }
  }

  /** Nothing that happens from now on is recorded; `record` ends then. Fails as `TraceSubscription.end` does. */
  async end(): Promise<void> {
    const { trace, form, looksForDeadlocks } = this.#options;
    if (form.picture !== undefined && looksForDeadlocks) await this.#look();
    await trace.end();
  }

  async #writeLines(): Promise<void> {
    const { trace, selection, form } = this.#options;
    for (;;) {
      const lines = await trace.lines();
      if (lines === null) return;
      let text = '';
      for (const line of lines) {
        const fields = parseTraceLine(line);
        if (fields === null || !selection.has(fields)) continue;
        if (fields.type === 'lost') this.lostLines += fields.lines ?? 0;
        text += form.format(fields, line);
      }
      if (text !== '') await this.#write(text);
    }
  }

  /** Fails as the first write did that failed. */
  #write(text: string): Promise<void> {
    const { output, form } = this.#options;
    this.#written = this.#written.then(() => output.write(text, form.picture?.footer));
    return this.#written;
  }

  async #watch(): Promise<void> {
    let pauseMs = PAUSE_MS;
    while (!this.#isOver) {
      await delay(pauseMs, undefined, { ref: false });
      const startMs = performance.now();
      if (!(await this.#look())) return;
      const lookMs = performance.now() - startMs;
      pauseMs = Math.min(Math.max(PAUSE_MS, PAUSE_PER_LOOK * lookMs), LONGEST_PAUSE_MS);
    }
  }

  /** Adds the deadlocks of this moment, if calls have waited for long. False when there is nothing to look at any more. */
  async #look(): Promise<boolean> {
    const { mount, form } = this.#options;
    if (this.#isOver) return false;
    if (Date.now() - form.picture!.oldestWaitSeconds * 1000 < SETTLED_MS) return true;
    try {
      const { deadlocks, calls, holders } = await lookAtWaits(mount);
      const enders = endersOf(calls, holders);
      const before = this.#doubtful;
      this.#doubtful = new Map();
      for (const deadlock of deadlocks) {
        const key = keyOf(deadlock.calls);
        const looks = (before.get(key) ?? 0) + 1;
        const isCertain = deadlock.doubts.length === 0 && !deadlock.isLikely;
        if (isCertain || looks >= LOOKS_IN_DOUBT)
          this.addDeadlock(describeDeadlock(deadlock), deadlock.calls, enders);
        else this.#doubtful.set(key, looks);
      }
      return true;
    } catch (error) {
      // The reader hears of a mount that has ended, and the next write of an output that is full.
      if (!(error instanceof CommandFailure)) report(error);
      return false;
    }
  }

  /** Calls were found that can never end; `enders` are the processes that could end each. Nothing happens in forms that have no place for them. */
  addDeadlock(
    text: string,
    calls: readonly BlockedCallRow[],
    enders: ReadonlyMap<BlockedCallRow, readonly number[]>,
  ): void {
    const { picture } = this.#options.form;
    const key = keyOf(calls);
    if (picture === undefined || this.#isOver || this.#deadlocks.has(key)) return;
    this.#deadlocks.add(key);
    const stuck = calls.map((call): StuckCall => ({
      process: call.process === '-' ? call.pid : call.process,
      thread: call.pid,
      command: bytesOf(call.command),
      call: call.call,
      object: bytesOf(call.object),
      enders: enders.get(call) ?? [],
    }));
    // A failure is that of the next write.
    this.#write(picture.formatDeadlock(Date.now() / 1000, bytesOf(text), stuck)).catch(() => undefined);
  }
}

function keyOf(calls: readonly BlockedCallRow[]): string {
  return calls.map(({ pid, call, ino }) => `${pid} ${call} ${ino}`).join();
}

/** One character a byte, as the lines of a trace have it. */
function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
