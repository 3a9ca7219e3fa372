import { run, until } from './process.ts';

let count = 0;

/** A shell in a terminal of its own (tmux): keys go in, and what the screen shows can be looked at. */
export class ShellTerminal {
  readonly #socket = `ipcfs-test-${process.pid}-${++count}`;

  /** Starts `command` in a terminal of 120x30. */
  async start(command: readonly string[], cwd: string, env: Record<string, string>): Promise<void> {
    const { status, stderr } = await this.#tmux(
      ['-f', '/dev/null', 'new-session', '-d', '-x', '120', '-y', '30', ...command],
      cwd,
      env,
    );
    if (status !== 0) throw new Error(`tmux: ${stderr}`);
  }

  /** Types text; nothing of it is taken for the name of a key. */
  async type(text: string): Promise<void> {
    await this.#tmux(['send-keys', '-l', text]);
  }

  /** Presses keys by tmux's names: Tab, Enter, C-u. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux(['send-keys', ...keys]);
  }

  async screen(): Promise<string> {
    return (await this.#tmux(['capture-pane', '-p'])).stdout.trimEnd();
  }

  async untilShown(what: RegExp): Promise<string> {
    let seen = '';
    return until(
      async () => {
        seen = await this.screen();
        return what.test(seen) ? seen : null;
      },
      () => `${String(what)} on the screen:\n${seen}`,
    );
  }

  async stop(): Promise<void> {
    await this.#tmux(['kill-server']);
  }

  #tmux(args: readonly string[], cwd = '/', env: Record<string, string> = {}) {
    return run('tmux', ['-L', this.#socket, ...args], { cwd, env: { TERM: 'xterm', TMUX: '', ...env } });
  }
}
