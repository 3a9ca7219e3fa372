import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { lookAtWaits } from '../blocked-calls/holders.ts';
import { answered, explain, type MountPoint } from '../tables/mount-calls.ts';
import { lastingWaits, segmentName } from '../tables/objects.ts';
import { readUsage } from '../status/status.ts';
import { readTable, type Tables } from '../tables/tables.ts';
import { RateMeter } from './rates.ts';
import { type Detail, type Facts, TABLE_NAMES, type TableName } from './state.ts';

/** Tables that are not on the screen are read once in so many looks: they are only counted there. */
const OTHERS_EVERY = 5;

/** What the detail pane wants to know. */
export interface Wanted {
  readonly table: TableName;
  readonly key: string;
  readonly row: unknown;
  readonly offset: number;
  readonly length: number;
}

/** Reads what the view shows from the mount, and no more than that. */
export class Source {
  readonly mount: MountPoint;
  readonly #rates = new RateMeter();
  #looks = 0;

  constructor(mount: MountPoint) {
    this.mount = mount;
  }

  /** The first look, for what does not change and what `look` brings up to date. */
  async begin(): Promise<Facts> {
    const [[version], usage] = await Promise.all([readTable(this.mount, 'version'), readUsage(this.mount)]);
    return {
      mount: this.mount.path,
      version: version!.version,
      pid: version!.pid,
      ...usage,
      tables: { pipes: null, kqueues: null, shm: null, waits: null },
      rates: new Map(),
      detail: null,
      deadlocks: [],
      trouble: null,
    };
  }

  /** The facts as they are now. `table` is on the screen. Fails as `readTable` does. */
  async look(before: Facts, table: TableName): Promise<Facts> {
    const isFull = this.#looks++ % OTHERS_EVERY === 0;
    const tables: { -readonly [Name in TableName]: readonly Tables[Name][] | null } = { ...before.tables };
    const read = async (name: TableName): Promise<void> => {
      if (!isFull && name !== table && before.tables[name] !== null) return;
      Object.assign(tables, { [name]: await readTable(this.mount, name) });
    };
    // Who waits belongs to every pipe, and is not mixed with our own calls, which come after.
    const { calls, deadlocks } = await lookAtWaits(this.mount);
    tables.waits = lastingWaits(calls);
    const [usage] = await Promise.all([
      readUsage(this.mount),
      ...TABLE_NAMES.filter((name) => name !== 'waits').map((name) => read(name)),
    ]);
    const { pipes } = tables;
    const rates =
      pipes === null || pipes === before.tables.pipes
        ? before.rates
        : this.#rates.update(pipes, performance.now());
    return { ...before, ...usage, tables, rates, deadlocks, trouble: null };
  }

  /** What the pane shows of one object. What is gone meanwhile is left out. */
  async detail({ table, key, row, offset, length }: Wanted): Promise<Detail> {
    const path = pathOf(table, row);
    const [handles, knotes] = await Promise.all([
      readTable(this.mount, 'handles'),
      table === 'kqueues' ? readTable(this.mount, 'knotes') : [],
    ]);
    const content = contentPath(table, row);
    const bytes = content === null ? null : await this.#bytes(content, offset, length);
    return {
      table,
      key,
      handles: handles.filter((handle) => handle.path === path),
      knotes: knotes.filter(({ kqueue }) => String(kqueue) === key),
      offset,
      bytes: bytes instanceof Uint8Array ? bytes : null,
      refusal: typeof bytes === 'string' ? bytes : null,
    };
  }

  /** Bytes of a file of info/content, or why there are none. */
  async #bytes(name: string, offset: number, length: number): Promise<Uint8Array | string> {
    const file = `info/content/${name}`;
    try {
      return await answered(this.mount, async () => {
        const handle = await open(join(this.mount.path, file), 'r');
        try {
          const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
          return buffer.subarray(0, bytesRead);
        } finally {
          await handle.close();
        }
      });
    } catch (error) {
      switch ((error as NodeJS.ErrnoException).code) {
        case 'EACCES':
          return 'only its owner and root may see the bytes';
        case 'ENOENT':
          return 'it has no name any more';
        default:
          throw explain(error, this.mount, file);
      }
    }
  }
}

/** The object's path as info/handles has it. */
function pathOf(table: TableName, row: unknown): string {
  switch (table) {
    case 'pipes':
      return (row as Tables['pipes']).path;
    case 'kqueues':
      return (row as Tables['kqueues']).name;
    case 'shm':
      return `shm/${segmentName(row as Tables['shm'])}`;
    case 'waits':
      return (row as Tables['waits']).object;
  }
}

/** The object's file below info/content; null for one without bytes. */
function contentPath(table: TableName, row: unknown): string | null {
  if (table === 'pipes') {
    const { path } = row as Tables['pipes'];
    return path === '(removed)' ? null : path;
  }
  return table === 'shm' ? `shm/${segmentName(row as Tables['shm'])}` : null;
}
