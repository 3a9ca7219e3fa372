import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { readText } from '../../host/linux/bounded-read.ts';
import { announce } from './run-feature.ts';

/** What shells end with. */
const EXIT_NOT_EXECUTABLE = 126;
const EXIT_NOT_FOUND = 127;
const SIGNALLED = 128;

/** Signals that a terminal sends to all processes in its foreground, the command among them. */
const KEYBOARD_SIGNALS = ['SIGINT', 'SIGQUIT'] as const;
const OTHER_SIGNALS = ['SIGTERM', 'SIGHUP'] as const;

/**
 * The command of a run, in the process group and with the descriptors of this process. Signals that this process gets are for the
 * command; one that comes before it has begun, it gets in its first moment.
 */
export class CommandProcess {
  readonly #words: readonly string[];
  readonly #environment: Readonly<Record<string, string>>;
  #child: ChildProcess | null = null;
  readonly #early: NodeJS.Signals[] = [];

  /** `environment`: variables that it gets beside those of this process. */
  constructor(words: readonly string[], environment: Readonly<Record<string, string>>) {
    this.#words = words;
    this.#environment = environment;
    for (const signal of [...KEYBOARD_SIGNALS, ...OTHER_SIGNALS]) {
      process.on(signal, () => {
        this.#pass(signal);
      });
    }
  }

  /** 0 before it has begun, and when it could not. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Starts it with the mount as $IPCFS. The status that a shell would show, once it has ended. */
  start(directory: string): Promise<number> {
    const [early] = this.#early;
    if (early !== undefined) return Promise.resolve(SIGNALLED + constants.signals[early]);
    const [program, ...args] = this.#words as [string, ...string[]];
    const env = { ...process.env, ...this.#environment, IPCFS: directory };
    const child = spawn(program, args, { stdio: 'inherit', env });
    this.#child = child;
    return new Promise((resolve) => {
      child.on('error', ({ code }: NodeJS.ErrnoException) => {
        const isMissing = code === 'ENOENT';
        announce(`${program}: ${isMissing ? 'command not found' : `cannot be executed (${code ?? '?'})`}`);
        resolve(isMissing ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
      });
      child.on('exit', (status, signal) => {
        resolve(signal === null ? status! : SIGNALLED + constants.signals[signal]);
      });
    });
  }

  #pass(signal: NodeJS.Signals): void {
    if (this.#child === null) {
      this.#early.push(signal);
      return;
    }
    const isKeyboard = (KEYBOARD_SIGNALS as readonly string[]).includes(signal);
    if (!isKeyboard || !isInForeground()) this.#child.kill(signal);
  }
}

/** Whether the terminal of this process, if it has one, sends its signals to this process group. */
function isInForeground(): boolean {
  const stat = readText('/proc/self/stat') ?? '';
  // The command in parentheses may hold anything; behind it state, parent, group, session, terminal, the terminal's group.
  const [, , group, , , terminalGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return group === terminalGroup;
}
