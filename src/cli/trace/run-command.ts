import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { CommandFailure } from '../failures.ts';

/** What shells add to the number of the signal that has ended a command. */
export const SIGNAL_STATUS = 128;
/** From a terminal, they go to the command as well. */
const SHARED_SIGNALS = ['SIGINT', 'SIGQUIT'] as const;
const PASSED_SIGNALS = ['SIGTERM', 'SIGHUP'] as const;

export interface StartedCommand {
  readonly pid: number;
  /** The exit status as a shell has it, when it has ended. */
  readonly ended: Promise<number>;
}

/** Starts a command that has this program's terminal, with `variables` in its environment. */
export async function startCommand(
  [program, ...args]: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<StartedCommand> {
  const child = spawn(program!, args, { stdio: 'inherit', env: { ...process.env, ...variables } });
  const ended = new Promise<number>((resolve) => {
    child.on('exit', (status, signal) => {
      resolve(status ?? SIGNAL_STATUS + constants.signals[signal!]);
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new CommandFailure(`'${program}' cannot be run (${error.code ?? error.message}): name a program`),
      );
    });
  });
  for (const signal of SHARED_SIGNALS) process.on(signal, () => undefined);
  for (const signal of PASSED_SIGNALS) {
    process.on(signal, () => {
      child.kill(signal);
    });
  }
  return { pid: child.pid!, ended };
}
