import { exitNow } from '../../host/linux/libc.ts';
import { CommandFailure, report, UnansweredFailure } from '../failures.ts';
import { charsetOf } from '../tables/format.ts';
import { mountPoint } from '../tables/mount-calls.ts';
import { pressed } from './keys.ts';
import { hexWindow, render, type Rendered } from './render.ts';
import { Screen } from './screen.ts';
import { Source } from './source.ts';
import { type Facts, initialView, type View } from './state.ts';

export interface TopCommandOptions {
  /** In milliseconds. */
  readonly interval: number;
}

/** The share of time that looking may take of the server's and of ours: a look that takes long is followed by a longer pause. */
const PAUSE_PER_LOOK = 9;
const ENDING_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** `ipcfs top`: a live view of a mount, until `q`, a signal, or the end of the mount. */
export async function topCommand(directory: string, options: TopCommandOptions): Promise<void> {
  const mount = mountPoint(directory);
  const { stdin, stdout, env } = process;
  if (!stdin.isTTY || !stdout.isTTY || ['', 'dumb'].includes(env['TERM'] ?? '')) {
    throw new CommandFailure(
      `top needs a terminal that it can draw on: 'ipcfs status ${directory}' prints the same once`,
    );
  }
  const source = new Source(mount);
  new Top(source, await source.begin(), initialView(options.interval)).run();
}

/** The view in the terminal, from `run` to the end of the process. */
class Top {
  readonly #source: Source;
  readonly #screen: Screen;
  readonly #charset = charsetOf(process.env);
  #facts: Facts;
  #view: View;
  #rendered: Rendered;
  #timer: NodeJS.Timeout | null = null;
  #isLooking = false;
  /** Something has changed that the look under way does not know of. */
  #isStale = false;

  constructor(source: Source, facts: Facts, view: View) {
    this.#source = source;
    this.#facts = facts;
    this.#view = view;
    // An empty NO_COLOR does not count (no-color.org).
    this.#screen = new Screen((process.env['NO_COLOR'] ?? '') === '', {
      key: (name) => {
        this.#pressed(name);
      },
      resized: () => {
        this.#draw();
        this.#lookSoon();
      },
    });
    this.#rendered = this.#render();
  }

  run(): void {
    process.on('exit', () => {
      this.#screen.close();
    });
    process.on('uncaughtException', (error) => {
      this.#fail(error);
    });
    for (const signal of ENDING_SIGNALS) {
      process.once(signal, () => {
        this.#screen.close();
        // This process does not catch it any more, so its parent sees the signal that ended it.
        process.kill(process.pid, signal);
      });
    }
    process.on('SIGTSTP', () => {
      this.#screen.close();
      process.kill(process.pid, 'SIGSTOP');
    });
    process.on('SIGCONT', () => {
      this.#screen.open();
      this.#draw();
    });
    this.#screen.open();
    this.#draw();
    void this.#look();
  }

  #pressed(key: string): void {
    const next = pressed(this.#view, key, this.#rendered.layout);
    switch (next) {
      case 'quit':
        this.#screen.close();
        exitNow(0);
        break;
      case 'suspend':
        // The whole job stops, as if the terminal had made the signal.
        process.kill(0, 'SIGTSTP');
        return;
      case 'redraw':
        this.#screen.forget();
        break;
      default: {
        const before = this.#view;
        this.#view = next;
        this.#draw();
        const moved =
          next.table !== before.table ||
          next.selected !== before.selected ||
          next.hexLine !== before.hexLine ||
          next.isDetailOpen !== before.isDetailOpen ||
          next.intervalMs < before.intervalMs;
        if (moved) this.#lookSoon();
        return;
      }
    }
    this.#draw();
  }

  #render(): Rendered {
    const { columns, rows } = this.#screen;
    return render(this.#view, this.#facts, { columns, rows, charset: this.#charset });
  }

  #draw(): void {
    this.#rendered = this.#render();
    this.#screen.draw(this.#rendered.lines);
  }

  #lookSoon(): void {
    if (this.#isLooking) this.#isStale = true;
    else void this.#look();
  }

  /** Looks at the mount, shows it, and sees to the next look. */
  async #look(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#isLooking = true;
    const startMs = performance.now();
    let pauseMs = this.#view.intervalMs;
    try {
      do {
        this.#isStale = false;
        this.#facts = await this.#source.look(this.#facts, this.#view.table);
        this.#rendered = this.#render();
        await this.#lookCloser();
        this.#draw();
      } while (this.#isStale);
      pauseMs = Math.max(this.#view.intervalMs, (performance.now() - startMs) * PAUSE_PER_LOOK);
    } catch (error) {
      if (!(error instanceof UnansweredFailure)) {
        this.#fail(error);
        return;
      }
      this.#facts = { ...this.#facts, trouble: 'no answer from the server: this is what was seen last' };
      this.#draw();
    } finally {
      this.#isLooking = false;
    }
    this.#timer = setTimeout(() => {
      void this.#look();
    }, pauseMs);
  }

  /** Reads what the detail pane shows of the selected row. */
  async #lookCloser(): Promise<void> {
    const { selected, layout } = this.#rendered;
    if (!this.#view.isDetailOpen || selected === null) return;
    const { table } = this.#view;
    const window = hexWindow(this.#view, layout, this.#screen.columns);
    const detail = await this.#source.detail({ table, ...selected, ...window });
    this.#facts = { ...this.#facts, detail };
  }

  /** Gives the terminal back, says why, and ends the process, whose threads may wait for a mount that never answers. */
  #fail(error: unknown): void {
    this.#screen.close();
    exitNow(report(error));
  }
}
