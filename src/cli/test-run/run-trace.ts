import { endersOf } from '../blocked-calls/wait-graph.ts';
import { CommandFailure, EXIT_FAILURE } from '../failures.ts';
import { jsonForm, type TraceOutputForm } from '../trace/forms.ts';
import { takeLess } from '../trace/give-way.ts';
import { TraceOutput } from '../trace/output.ts';
import { PageForm } from '../trace/picture/page-form.ts';
import { PerfettoForm } from '../trace/picture/perfetto-form.ts';
import { TraceRecorder } from '../trace/recorder.ts';
import { Selection } from '../trace/selection.ts';
import { TraceSubscription } from '../trace/subscription.ts';
import { announce, type Run, type RunFeature } from './run-feature.ts';

/** `--trace`: records what happens in the mount of a run. The name of the file says in which form. */
export class RunTrace implements RunFeature {
  readonly #file: string;
  readonly #looksForDeadlocks: boolean;
  #recorder: TraceRecorder | null = null;
  #recording: Promise<void> = Promise.resolve();
  #failure: Error | null = null;

  /** `looksForDeadlocks`: nobody else does. */
  constructor(file: string, looksForDeadlocks: boolean) {
    this.#file = file;
    this.#looksForDeadlocks = looksForDeadlocks;
  }

  /** Fails when the file cannot be written: the command does not run then. */
  async begin({ mount, deadlockListeners }: Run): Promise<void> {
    const form = formOf(this.#file);
    const output = await TraceOutput.open(this.#file);
    const selection = new Selection({});
    // A run looks for deadlocks in the tables of its mount.
    selection.withoutProcess = process.pid;
    // Only lines are replayed.
    const trace = await TraceSubscription.open(mount, form.picture === undefined ? true : undefined);
    const recorder = new TraceRecorder({
      mount,
      trace,
      selection,
      form,
      output,
      looksForDeadlocks: this.#looksForDeadlocks,
    });
    this.#recorder = recorder;
    deadlockListeners.push(({ line, calls, holders }) => {
      recorder.addDeadlock(line, calls, endersOf(calls, holders));
    });
    this.#recording = recorder.record().catch((error: unknown) => {
      this.#failure = error as Error;
    });
  }

  started(): void {
    // It looks for deadlocks and time limits as well.
    takeLess();
  }

  async end({ hasMountEnded }: Run): Promise<number | null> {
    if (this.#recorder === null) return null;
    try {
      if (this.#failure === null) await this.#recorder.end();
      await this.#recording;
    } catch (error) {
      this.#failure = error as Error;
    }
    const { lostLines } = this.#recorder;
    if (lostLines > 0) announce(`the trace lost ${lostLines} lines: raise --sysctl ipcfs.trace_bytes=BYTES`);
    if (this.#failure === null) return null;
    if (!(this.#failure instanceof CommandFailure)) throw this.#failure;
    // The run says itself that its mount has ended.
    if (!hasMountEnded) announce(this.#failure.message);
    return EXIT_FAILURE;
  }
}

function formOf(file: string): TraceOutputForm {
  const beginSeconds = Date.now() / 1000;
  if (/\.html?$/i.test(file)) return new PageForm(beginSeconds);
  return /\.perfetto\.json$/i.test(file) ? new PerfettoForm(beginSeconds) : jsonForm;
}
