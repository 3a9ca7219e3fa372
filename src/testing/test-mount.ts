import { setTimeout as delay } from 'node:timers/promises';
import type { Tables } from '../cli/tables/tables.ts';
import { MountFailure } from '../transports/common/transport.ts';
import { TestFaults } from './faults.ts';
import type { TestServer } from './server.ts';
import { describeTables, readRows, readTables, type TableName, type TableRows } from './tables.ts';
import type { TestTrace } from './trace.ts';

/** Taken here: a test may have put fake clocks in their places. */
const monotonicMs = performance.now.bind(performance);

const DEFAULT_TIMEOUT_MS = 5000;
const LOOK_INTERVAL_MS = 10;

/** Tables of what comes and goes. */
const CHANGING = ['pipes', 'kqueues', 'knotes', 'shm', 'waits', 'handles', 'locks', 'faults'] as const;
export type ChangingTable = (typeof CHANGING)[number];

export interface WaitUntilOptions<Name extends TableName> {
  /** 5000 unless given. */
  readonly timeoutMs?: number;
  /** The tables to read for each look: pipes, kqueues, knotes, shm, waits, handles, locks and faults unless given. */
  readonly tables?: readonly Name[];
}

/** A condition that did not come about. */
export class WaitTimeout extends Error {
  override readonly name = 'WaitTimeout';
  /** What the last look saw. */
  readonly tables: Partial<TableRows>;

  /** `cause`: what the predicate has thrown in the last look, if it has. */
  constructor(timeoutMs: number, tables: Partial<TableRows>, cause: unknown) {
    const thrown = cause instanceof Error ? `${cause.name}: ${cause.message}` : JSON.stringify(cause);
    const reason = cause === undefined ? '' : `\nthe condition threw: ${thrown}`;
    super(`not so within ${timeoutMs} ms; the last look at the mount:\n${describeTables(tables)}${reason}`, {
      cause,
    });
    this.tables = tables;
  }
}

/** A mount for one test, in a process of its own. */
export class TestMount {
  /** Absolute. Children need it: pass it as an argument, or as `$IPCFS`. */
  readonly directory: string;
  readonly faults: TestFaults;
  readonly #server: TestServer;
  readonly #trace: TestTrace | null;
  #stopping: Promise<void> | null = null;

  /** @internal */
  constructor(server: TestServer, trace: TestTrace | null) {
    this.#server = server;
    this.#trace = trace;
    this.directory = server.directory;
    this.faults = new TestFaults(server.directory, () => this.table('faults'));
  }

  /** What has happened in the mount. Throws when it was made with `trace: false`. */
  get trace(): TestTrace {
    if (this.#trace === null) throw new Error('the mount was made with trace: false: leave that out');
    return this.#trace;
  }

  /** The rows of info/NAME as they are now. Fields are the columns, which `ipcfs help info` explains. */
  async table<Name extends TableName>(name: Name): Promise<Tables[Name][]> {
    try {
      return await readRows(this.directory, name);
    } catch (error) {
      throw await this.#explain(error);
    }
  }

  /**
   * Looks at the tables until `predicate` returns something true, and returns what it saw then. One that throws is not fulfilled yet, so
   * assertions can stand in it. Throws a WaitTimeout that shows the tables.
   */
  async waitUntil<Name extends TableName = ChangingTable>(
    predicate: (tables: TableRows<Name>) => unknown,
    {
      timeoutMs = DEFAULT_TIMEOUT_MS,
      tables: names = CHANGING as readonly TableName[] as readonly Name[],
    }: WaitUntilOptions<Name> = {},
  ): Promise<TableRows<Name>> {
    const giveUpMs = monotonicMs() + timeoutMs;
    for (;;) {
      let tables: TableRows<Name>;
      try {
        tables = await readTables(this.directory, names);
      } catch (error) {
        throw await this.#explain(error);
      }
      let cause: unknown;
      try {
        const result = await predicate(tables);
        if (result !== false && result !== null && result !== undefined && result !== 0 && result !== '')
          return tables;
      } catch (error) {
        cause = error;
      }
      if (monotonicMs() >= giveUpMs) throw new WaitTimeout(timeoutMs, tables, cause);
      await delay(LOOK_INTERVAL_MS);
    }
  }

  /** Unmounts: calls that wait in the mount end, and the directory is removed. Calling it again does nothing. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** For `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    const closing = this.#trace?.close().catch(() => undefined);
    await this.#server.stop();
    await closing;
  }

  async #explain(error: unknown): Promise<unknown> {
    if (this.#stopping !== null) return new MountFailure('the mount has been stopped', { cause: error });
    const words = await this.#server.lastWords();
    return words === null
      ? error
      : new MountFailure(`the mount on ${this.directory} has ended: ${words}`, { cause: error });
  }
}
