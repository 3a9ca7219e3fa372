import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type DeadlockLook, findDeadlocksInTime } from '../blocked-calls/deadlock-look.ts';
import { type Deadlock, mayBeStuck } from '../blocked-calls/wait-graph.ts';
import { deadlockAsObject } from '../blocked-calls/wait-report.ts';
import { exitNow } from '../exit.ts';
import { charsetOf } from '../tables/format.ts';
import { answered, explain, type MountPoint, mountPoint } from '../tables/mount-calls.ts';
import {
  type KqueueRow,
  lastingWaits,
  type PipeRow,
  type SegmentRow,
  type WaitRow,
} from '../tables/objects.ts';
import { statusLines } from './status-text.ts';
import { readTable } from '../tables/tables.ts';
import { toJson } from '../printable.ts';

/** Where a terminal does not say how wide it is. */
const DEFAULT_COLUMNS = 80;
const DEFAULT_LINES = 24;
const NARROWEST_COLUMNS = 40;

export interface StatusCommandOptions {
  readonly json: boolean;
  readonly all: boolean;
}

/** What `ipcfs status --json` prints. Rows are those of info/. */
export interface Status {
  /** Absolute path. */
  readonly mount: string;
  readonly version: string;
  /** The server's. */
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly transport: Readonly<Record<string, string | number>>;
  /** Of all pipes' rings. */
  readonly pipeMemory: { readonly usedBytes: number; readonly maximumBytes: number };
  readonly pipes: readonly PipeRow[];
  readonly kqueues: readonly KqueueRow[];
  readonly segments: readonly SegmentRow[];
  readonly waits: readonly WaitRow[];
  /** Null when they could not be found out in time. */
  readonly deadlocks: readonly Deadlock[] | null;
}

const NO_DEADLOCKS: DeadlockLook = { deadlocks: [], isHanging: false };

/** One look at a mount; fails as `readTable` does. `isHanging`: see DeadlockLook. */
export async function readStatus(mount: MountPoint): Promise<Status & Pick<DeadlockLook, 'isHanging'>> {
  // Calls of our own come after it, and are not mixed in.
  const calls = await readTable(mount, 'waits');
  const look = calls.some(mayBeStuck) ? await findDeadlocksInTime(mount) : NO_DEADLOCKS;
  const [[version], transport, pipes, kqueues, segments, usage] = await Promise.all([
    readTable(mount, 'version'),
    readTable(mount, 'transport'),
    readTable(mount, 'pipes'),
    readTable(mount, 'kqueues'),
    readTable(mount, 'shm'),
    readUsage(mount),
  ]);
  return {
    mount: mount.path,
    version: version!.version,
    pid: version!.pid,
    transport: Object.fromEntries(transport.map(({ name, value }) => [name, value])),
    ...usage,
    pipes,
    kqueues,
    segments,
    waits: lastingWaits(calls),
    ...look,
  };
}

/** The age of the mount and its pipe memory. Nobody changes the files of info/: they are as old as the mount. */
export async function readUsage(mount: MountPoint): Promise<Pick<Status, 'uptimeSeconds' | 'pipeMemory'>> {
  const file = 'info/version';
  try {
    return await answered(mount, async () => {
      const [{ mtimeMs }, { blocks, bfree, bsize }] = await Promise.all([
        stat(join(mount.path, file)),
        statfs(mount.path),
      ]);
      return {
        uptimeSeconds: Math.max(0, Math.round(Date.now() - mtimeMs) / 1000),
        pipeMemory: { usedBytes: (blocks - bfree) * bsize, maximumBytes: blocks * bsize },
      };
    });
  } catch (error) {
    throw explain(error, mount, file);
  }
}

/** `ipcfs status`. In a terminal it fits the screen; otherwise, and with --all, it prints everything. */
export async function statusCommand(directory: string, options: StatusCommandOptions): Promise<void> {
  const { isHanging, ...status } = await readStatus(mountPoint(directory));
  const json = { ...status, deadlocks: status.deadlocks?.map(deadlockAsObject) ?? null };
  process.stdout.write(options.json ? `${toJson(json)}\n` : textOf(status, options), () => {
    if (isHanging) exitNow(0);
  });
}

function textOf(status: Status, { all }: StatusCommandOptions): string {
  const { isTTY, columns, rows } = process.stdout;
  const lines = statusLines(status, {
    columns: isTTY ? Math.max(NARROWEST_COLUMNS, columns || DEFAULT_COLUMNS) : Infinity,
    // The prompt needs a line.
    lines: isTTY && !all ? (rows || DEFAULT_LINES) - 1 : Infinity,
    charset: charsetOf(process.env),
  });
  return `${lines.join('\n')}\n`;
}
