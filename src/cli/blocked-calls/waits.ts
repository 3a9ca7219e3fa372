import { lastingWaits } from '../tables/objects.ts';
import { lookClosely } from './holders.ts';
import { EXIT_DEADLOCK, EXIT_LONG_WAIT, UsageFailure } from '../failures.ts';
import { mountPoint } from '../tables/mount-calls.ts';
import { describeProcess } from './describe-process.ts';
import { isCertain } from './wait-graph.ts';
import { describeDeadlock, describeLongCall, formatWaits, waitsAsJson } from './wait-report.ts';

export interface WaitsCommandOptions {
  readonly check: boolean;
  readonly json: boolean;
  /** In milliseconds. */
  readonly longerThan?: number;
}

/** `ipcfs waits`: with --check sets exit status 3 when a deadlock is certain, or else 4 when a call has waited longer than it may. */
export async function waitsCommand(
  directory: string,
  { check, json, longerThan }: WaitsCommandOptions,
): Promise<void> {
  if (longerThan !== undefined && !check) throw new UsageFailure('--longer-than is for --check: add --check');
  const look = await lookClosely(mountPoint(directory));
  const certain = look.deadlocks.filter(isCertain);
  const long = lastingWaits(look.calls).filter(({ since }) => since * 1000 > (longerThan ?? Infinity));
  if (check && certain.length > 0) process.exitCode = EXIT_DEADLOCK;
  else if (check && long.length > 0) process.exitCode = EXIT_LONG_WAIT;
  if (json) {
    process.stdout.write(waitsAsJson(look, describeProcess));
  } else if (check) {
    for (const deadlock of certain) process.stdout.write(`${describeDeadlock(deadlock)}\n`);
    for (const call of long) process.stdout.write(`${describeLongCall(call)}\n`);
    for (const deadlock of look.deadlocks) {
      if (!certain.includes(deadlock)) process.stderr.write(`ipcfs: ${describeDeadlock(deadlock)}\n`);
    }
  } else {
    const { isTTY, columns } = process.stdout;
    process.stdout.write(formatWaits(look, describeProcess, isTTY ? columns : Infinity));
  }
}
