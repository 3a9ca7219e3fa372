import { ControlFile } from '../cli/control/control-file.ts';
import type { Tables } from '../cli/tables/tables.ts';

/** The calls that a fault can hit. */
export type FaultCall = 'open' | 'read' | 'write' | 'poll' | 'ioctl' | 'attach' | 'size' | 'any';

/** What a fault does; `ipcfs help faults` explains each. */
export type FaultAction =
  | `errno=${string}`
  | `short=${number}`
  | `split=${number}`
  | `delay=${string}`
  | `signal=${string}`
  | 'eof'
  | 'hangup'
  | 'stall';

/** Which calls it hits. */
export type FaultOption =
  | `when=${number}`
  | `every=${number}`
  | `p=${number}`
  | `seed=${number}`
  | `pid=${number}`
  | `count=${number}`;

/** A request that the mount has refused; the message says why, and what to do. */
export class FaultRefusal extends Error {
  override readonly name = 'FaultRefusal';
  /** EINVAL, ENOENT and so on. */
  readonly code: string;

  constructor(request: string, code: string, reason: string) {
    super(`${request}: ${code}${reason === '' ? '' : ` ${reason}`}`);
    this.code = code;
  }
}

/** Faults on demand of one mount. They end with it. */
export class TestFaults {
  readonly #directory: string;
  readonly #list: () => Promise<Tables['faults'][]>;

  /** `list`: reads the table of faults. */
  constructor(directory: string, list: () => Promise<Tables['faults'][]>) {
    this.#directory = directory;
    this.#list = list;
  }

  /**
   * Adds one: `add('pipes/*', 'read', 'short=1', 'when=3')`. `object` is a pattern of paths from the mount's root. Returns its number.
   * Throws a FaultRefusal for what cannot be.
   */
  async add(
    object: string,
    call: FaultCall,
    action: FaultAction,
    ...options: readonly FaultOption[]
  ): Promise<number> {
    return Number(await this.#ask(['add', object, call, action, ...options]));
  }

  /** The rows of info/faults: each fault, and how often it has hit. */
  list(): Promise<Tables['faults'][]> {
    return this.#list();
  }

  /** Removes one; calls that it holds go on. Throws a FaultRefusal (ENOENT) when there is none with this number. */
  async remove(id: number): Promise<void> {
    await this.#ask(['remove', String(id)]);
  }

  /** Removes all: how many there were. */
  async removeAll(): Promise<number> {
    return Number(await this.#ask(['remove', 'all']));
  }

  async #ask(words: readonly string[]): Promise<string> {
    const request = ['fault', ...words].join(' ');
    if (request.includes('\n'))
      throw new FaultRefusal(JSON.stringify(request), 'EINVAL', 'leave out the line feed');
    const control = await ControlFile.open(this.#directory);
    try {
      const { isOk, word, text } = await control.ask(request);
      if (!isOk) throw new FaultRefusal(request, word, text);
      return word;
    } finally {
      await control.close();
    }
  }
}
