import { readText } from '../../host/linux/bounded-read.ts';
import { commandName } from '../../host/linux/processes/processes.ts';
import type { ProcessDescription } from './wait-report.ts';

/** What /proc says that a process does; in the kernel's words where it sleeps. */
export function describeProcess(pid: number): ProcessDescription {
  const command = commandName(pid) ?? '?';
  const place = (readText(`/proc/${pid}/wchan`) ?? '').replace(/\..*$/, '');
  return {
    command,
    activity: /^\w*[a-z]\w*$/.test(place) ? `not blocked here (${place})` : 'not blocked here',
  };
}
