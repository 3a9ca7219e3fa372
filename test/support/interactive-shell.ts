import { type Example, isAsStated, statedOutput, typedLines } from './pages.ts';
import { Running, until } from './process.ts';

export type ShellName = 'bash' | 'zsh';

const PROMPT = /<prompt:(\d+)>/g;
const PROMPTS = /<prompt:\d+>|<more>/g;
/** `[1] 4711`, `[1]+  Done   cat pipes/a`. */
const JOB_NOTICE = /^\[\d+\](?:[ +-].*)?\n/gm;
// eslint-disable-next-line no-control-regex -- what moves the cursor or sets a colour
const CONTROL_SEQUENCE = /\u001b(?:\[[0-9;?]*[A-Za-z]|\][^\u0007]*\u0007|[=>])/g;
const LINE_TIMEOUT_MS = 60_000;
const OUTPUT_TIMEOUT_MS = 10_000;

/** What starts each shell without the files of its user and without an editor for its lines. */
const SHELLS: Readonly<Record<ShellName, { command: string; prompt: string }>> = {
  bash: { command: 'bash --noprofile --norc --noediting -i', prompt: '<prompt:$?>' },
  zsh: { command: 'zsh -f +Z -o no_prompt_sp -o no_prompt_cr -i', prompt: '<prompt:%?>' },
};

/** A shell with job control on a terminal of its own, into which a test types as a reader of a page does. */
export class InteractiveShell {
  readonly #running: Running;
  #typedCount = 0;

  private constructor(running: Running) {
    this.#running = running;
  }

  static async start(
    name: ShellName,
    { cwd, env, timeoutMs }: { cwd: string; env: Record<string, string>; timeoutMs: number },
  ): Promise<InteractiveShell> {
    const { command, prompt } = SHELLS[name];
    // Typed lines are not echoed: what is read is what is printed.
    const terminal = ['-qfec', `stty -echo cols 120; exec ${command}`, '/dev/null'];
    const running = new Running('script', terminal, {
      cwd,
      env: { SHELL: '/bin/sh', TERM: 'dumb', PS1: prompt, PS2: '<more>', ...env },
      timeoutMs,
    });
    const shell = new InteractiveShell(running);
    await shell.#untilPrompts(1);
    return shell;
  }

  /** Everything that it has printed, without prompts and notices of jobs. */
  #printed(from: number): string {
    return this.#running.stdout
      .slice(from)
      .replaceAll('\r', '')
      .replace(CONTROL_SEQUENCE, '')
      .replace(PROMPTS, '')
      .replace(JOB_NOTICE, '');
  }

  get #prompts(): string[] {
    return [...this.#running.stdout.matchAll(PROMPT)].map(([, status]) => status!);
  }

  #untilPrompts(count: number): Promise<boolean> {
    return until(
      () => this.#prompts.length >= count,
      () => `a prompt: ${this.#running.stdout.slice(-2000)}${this.#running.stderr}`,
      LINE_TIMEOUT_MS,
    );
  }

  /** Types a line that begins a program which stays, and waits until it has printed `sign`. */
  async begin(line: string, sign: RegExp, timeoutMs: number): Promise<string> {
    const from = this.#running.stdout.length;
    this.#write(`${line}\n`);
    await until(
      () => sign.test(this.#printed(from)),
      () => `${String(sign)}: ${this.#printed(from)}`,
      timeoutMs,
    );
    return this.#printed(from);
  }

  /** Ctrl-C, and what is printed until the prompt comes back. */
  async interrupt(): Promise<{ printed: string; status: string }> {
    const from = this.#running.stdout.length;
    const prompts = this.#prompts.length;
    this.#write('\u0003');
    await this.#untilPrompts(prompts + 1);
    return { printed: this.#printed(from), status: this.#prompts.at(-1)! };
  }

  /**
   * Types the lines of a block, each when the one before has ended.
   * @returns what was printed, and the exit status of each command; it waits until the stated output has come
   */
  async typeBlock({ text }: Pick<Example, 'text'>): Promise<{ printed: string; statuses: string[] }> {
    const from = this.#running.stdout.length;
    const prompts = this.#prompts.length;
    for (const line of typedLines(text)) await this.#type(line);
    const stated = statedOutput(text);
    await until(
      () => isAsStated(this.#printed(from), stated),
      () => 'the stated output',
      OUTPUT_TIMEOUT_MS,
    ).catch(() => undefined);
    return { printed: this.#printed(from), statuses: this.#prompts.slice(prompts) };
  }

  async #type(line: string): Promise<void> {
    const from = this.#running.stdout.length;
    this.#typedCount++;
    this.#write(`${line}\n`);
    await until(
      () => this.#running.stdout.slice(from).search(PROMPTS) >= 0,
      () => `the end of '${line}' (line ${this.#typedCount}): ${this.#running.stdout.slice(-2000)}`,
      LINE_TIMEOUT_MS,
    );
  }

  #write(text: string): void {
    this.#running.child.stdin!.write(text);
  }

  /** Ends the shell and what it has started on its terminal. */
  end(): void {
    this.#running.kill('SIGKILL');
  }
}
