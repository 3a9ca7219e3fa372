import { readFileSync } from 'node:fs';
import { commandName } from '../host/linux/processes.ts';
import { lookClosely } from './holders.ts';
import { mountPoint } from './mount-calls.ts';
import { describeDeadlock, formatWaits, type ProcessDescription, waitsAsJson } from './wait-report.ts';

export interface WaitsCommandOptions {
  readonly check: boolean;
  readonly json: boolean;
}

const EXIT_DEADLOCK = 3;

/** `ipcfs waits`: sets exit status 3 with --check when a deadlock is certain. */
export async function waitsCommand(directory: string, { check, json }: WaitsCommandOptions): Promise<void> {
  const look = await lookClosely(mountPoint(directory));
  const certain = look.deadlocks.filter(({ doubts }) => doubts.length === 0);
  if (check && certain.length > 0) process.exitCode = EXIT_DEADLOCK;
  if (json) {
    process.stdout.write(waitsAsJson(look, describeProcess));
  } else if (check) {
    for (const deadlock of certain) process.stdout.write(`${describeDeadlock(deadlock)}\n`);
    for (const deadlock of look.deadlocks) {
      if (!certain.includes(deadlock)) process.stderr.write(`ipcfs: ${describeDeadlock(deadlock)}\n`);
    }
  } else {
    const { isTTY, columns } = process.stdout;
    process.stdout.write(formatWaits(look, describeProcess, isTTY ? columns : Infinity));
  }
}

/** What /proc says that a process does; in the kernel's words where it sleeps. */
function describeProcess(pid: number): ProcessDescription {
  const command = commandName(pid) ?? '?';
  try {
    const place = readFileSync(`/proc/${pid}/wchan`, 'latin1').replace(/\..*$/, '');
    return {
      command,
      activity: /^\w*[a-z]\w*$/.test(place) ? `not blocked here (${place})` : 'not blocked here',
    };
  } catch {
    return { command, activity: 'not blocked here' };
  }
}
