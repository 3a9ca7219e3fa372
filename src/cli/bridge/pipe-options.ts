import { CommandFailure } from '../failures.ts';
import { askOptions } from '../options/ask-options.ts';
import type { Role } from './bridge-options.ts';

/** Where the records of a pipe end. */
export type Framing = 'lines' | 'records';

/** Checks that the pipe has the options that a bridge needs. Fails with a CommandFailure that says what to set. */
export async function framingOf(path: string, role: Role, isOut: boolean): Promise<Framing> {
  const options = (await askOptions('get', path, [])).split(' ');
  const framing = options.find((word): word is Framing => word === 'lines' || word === 'records');
  const advice = `run 'ipcfs set ${path} hold ${framing === 'records' ? 'records requeue' : 'lines'}'`;
  if (framing === undefined || !options.includes('hold')) {
    throw new CommandFailure(`${path} does not keep whole records: ${advice}`);
  }
  const givesBack = options.includes('requeue') || (framing === 'lines' && !options.includes('requeue=off'));
  if (isOut && !givesBack) {
    throw new CommandFailure(`${path} does not take back the records of a process that is killed: ${advice}`);
  }
  if (!isOut && role === 'work' && options.some((word) => word.startsWith('overflow='))) {
    throw new CommandFailure(
      `${path} drops records when it is full: run 'ipcfs unset ${path} overflow', or use the role log`,
    );
  }
  return framing;
}
