import { constants } from 'node:os';
import { exitNow } from '../../host/linux/libc.ts';
import { EXIT_FAILURE, remark, report, UsageFailure } from '../failures.ts';
import { type MountPoint, mountPoint } from '../tables/mount-calls.ts';
import { readTable } from '../tables/tables.ts';
import { jsonForm, textForm, type TraceOutputForm } from './forms.ts';
import { giveWay } from './give-way.ts';
import { STANDARD_ERROR, STANDARD_OUTPUT, TraceOutput } from './output.ts';
import { PageForm } from './picture/page-form.ts';
import { PerfettoForm } from './picture/perfetto-form.ts';
import { ProcessTree } from './process-tree.ts';
import { TraceRecorder } from './recorder.ts';
import { SIGNAL_STATUS, startCommand } from './run-command.ts';
import { Selection, type SelectionOptions } from './selection.ts';
import { TraceSubscription } from './subscription.ts';

export interface TraceCommandOptions extends SelectionOptions {
  /** True for all bytes. */
  readonly content?: number | true;
  readonly json: boolean;
  readonly output?: string;
  /** A file for the trace-event format. */
  readonly perfetto?: string;
  /** A file for a page. */
  readonly html?: string;
}

/** Signals that end a picture, and leave it whole. */
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

interface Target {
  readonly form: TraceOutputForm;
  /** A path or a standard descriptor; null where lines go by default. */
  readonly file: string | null;
}

/**
 * `ipcfs trace`: writes what happens in a mount, and ends the process: with the status of the command, if there is one. Calls on the mount
 * are made by Node's threads, and one of them may be in read(2) at the end.
 */
export async function traceCommand(
  directory: string,
  command: readonly string[],
  options: TraceCommandOptions,
): Promise<void> {
  let status: number;
  try {
    const { form, file } = targetOf(options);
    const selection = new Selection(options);
    const mount = mountPoint(directory);
    const hasCommand = command.length > 0;
    // What the command itself reads of the mount for a picture is not part of it.
    if (form.picture !== undefined) selection.withoutProcess = process.pid;
    const output = await TraceOutput.open(file ?? (hasCommand ? STANDARD_ERROR : STANDARD_OUTPUT));
    const trace = await TraceSubscription.open(mount, options.content);
    const recorder = new TraceRecorder({ mount, trace, selection, form, output, looksForDeadlocks: true });
    if (hasCommand) status = await traceOf(command, mount, selection, recorder);
    else {
      giveWay();
      status = form.picture === undefined ? await untilEnd(recorder) : await untilSignal(recorder);
    }
  } catch (error) {
    status = report(error);
  }
  exitNow(status);
}

function targetOf({ json, output, perfetto, html, content }: TraceCommandOptions): Target {
  const isGiven = {
    '--perfetto': perfetto !== undefined,
    '--html': html !== undefined,
    '--json': json,
    '--output': output !== undefined,
    '--content': content !== undefined,
  };
  const given = Object.entries(isGiven).flatMap(([name, is]) => (is ? [name] : []));
  if (perfetto === undefined && html === undefined)
    return { form: json ? jsonForm : textForm, file: output ?? null };
  if (given.length > 1) throw new UsageFailure(`${given[0]!} does not go with ${given[1]!}: leave one out`);
  const beginSeconds = Date.now() / 1000;
  if (html !== undefined) return { form: new PageForm(beginSeconds), file: html };
  return { form: new PerfettoForm(beginSeconds), file: perfetto! };
}

async function untilEnd(recorder: TraceRecorder): Promise<number> {
  await recorder.record();
  return 0;
}

async function untilSignal(recorder: TraceRecorder): Promise<number> {
  let status = 0;
  for (const signal of ENDING_SIGNALS) {
    // A second one ends the process, should the mount not answer.
    process.once(signal, () => {
      status = SIGNAL_STATUS + constants.signals[signal];
      // A mount that does not answer leaves the picture as it is, which is whole.
      recorder.end().catch((error: unknown) => {
        exitNow(report(error));
      });
    });
  }
  await recorder.record();
  return status;
}

async function traceOf(
  command: readonly string[],
  mount: MountPoint,
  selection: Selection,
  recorder: TraceRecorder,
): Promise<number> {
  const facts = await readTable(mount, 'transport');
  const tellsCallers = facts.every(({ name, value }) => name !== 'caller-process' || value === 'yes');
  if (!tellsCallers) remark('this mount does not know who calls: the lines are of all processes');
  const { pid, ended } = await startCommand(command, { IPCFS: mount.path });
  giveWay();
  if (tellsCallers) selection.tree = new ProcessTree(pid);
  let failure = 0;
  const recording = recorder.record().catch((error: unknown) => {
    failure = report(error);
  });
  const status = await ended;
  if (failure === 0) {
    await recorder.end();
    await recording;
  }
  return failure === 0 ? status : EXIT_FAILURE;
}
