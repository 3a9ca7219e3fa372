import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type Finished, run, until } from './process.ts';

export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  /** What runs in it, in place of a bash whose prompt is waited for. */
  readonly command?: readonly string[];
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

/** A shell in a terminal of its own, seen and typed into from outside: tmux, with a server for this one alone. */
export class Terminal {
  readonly #server = `ipcfs-test-${process.pid}-${randomBytes(4).toString('hex')}`;

  private constructor() {
    // Made by `start`.
  }

  /** UTF-8 and colour, unless `env` says otherwise. */
  static async start(options: TerminalOptions): Promise<Terminal> {
    const { columns = 120, rows = 30, command, env = {}, cwd = '/' } = options;
    const terminal = new Terminal();
    const variables = { LC_ALL: 'C.UTF-8', PS1: 'ready> ', ...env };
    const shell = [
      'env',
      '-u',
      'NO_COLOR',
      ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
      ...(command ?? ['bash', '--norc', '--noprofile']),
    ];
    await terminal.#tmux(
      [
        '-f',
        '/dev/null',
        'new-session',
        '-d',
        '-s',
        'main',
        '-x',
        String(columns),
        '-y',
        String(rows),
        '-c',
        cwd,
        ...shell,
      ],
      { LC_ALL: 'C.UTF-8' },
    );
    if (command !== undefined) return terminal;
    try {
      await terminal.until(/^ready>$/m);
    } catch (error) {
      await terminal.stop();
      throw error;
    }
    return terminal;
  }

  /** Keys by tmux's names, or texts. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#tmux(['send-keys', '-t', 'main', ...keys]);
  }

  async type(text: string): Promise<void> {
    await this.#tmux(['send-keys', '-t', 'main', '-l', '--', text]);
  }

  /** Types a command line. */
  async enter(command: string): Promise<void> {
    await this.type(command);
    await this.press('Enter');
  }

  /** What the terminal shows: a line each, without blanks at their ends. */
  async lines(): Promise<string[]> {
    const { stdout } = await this.#tmux(['capture-pane', '-p', '-t', 'main']);
    const text = Buffer.from(stdout, 'latin1').toString('utf8');
    return text.replace(/\n$/, '').split('\n');
  }

  async screen(): Promise<string> {
    return (await this.lines()).join('\n').trimEnd();
  }

  /** The same with the escape sequences of colours and attributes. */
  async colors(): Promise<string> {
    return (await this.#tmux(['capture-pane', '-e', '-p', '-t', 'main'])).stdout;
  }

  /** What tmux knows of the terminal: `alternate_on`, `cursor_flag`, `pane_current_command`. */
  async state(name: string): Promise<string> {
    return (await this.#tmux(['display-message', '-p', '-t', 'main', `#{${name}}`])).stdout.trimEnd();
  }

  /** The first screen on which `pattern` is found. */
  until(pattern: RegExp, timeoutMs = 15_000): Promise<string> {
    let seen = '';
    return until(
      async () => {
        seen = await this.screen();
        return pattern.test(seen) ? seen : null;
      },
      () => `${String(pattern)} on the screen:\n${seen}`,
      timeoutMs,
    );
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux(['resize-window', '-t', 'main', '-x', String(columns), '-y', String(rows)]);
  }

  /** Ends the terminal and what runs in it. */
  async stop(): Promise<void> {
    const { stdout } = await this.#tmux(['display-message', '-p', '#{socket_path}']);
    await run('tmux', ['-L', this.#server, 'kill-server']);
    rmSync(stdout.trimEnd(), { force: true });
  }

  async #tmux(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
    const finished = await run('tmux', ['-u', '-L', this.#server, ...args], { env });
    if (finished.status !== 0) throw new Error(`tmux ${args.join(' ')}: ${finished.stderr}`);
    return finished;
  }
}
