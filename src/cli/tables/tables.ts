import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { faultsColumns } from '../../tree/tables/faults.ts';
import type { handlesColumns } from '../../tree/tables/handles.ts';
import type { knotesColumns } from '../../tree/tables/knotes.ts';
import type { kqueuesColumns } from '../../tree/tables/kqueues.ts';
import type { locksColumns } from '../../tree/tables/locks.ts';
import type { pipesColumns } from '../../tree/tables/pipes.ts';
import type { segmentsColumns } from '../../tree/tables/segments.ts';
import type { sysctlsColumns } from '../../tree/tables/sysctls.ts';
import type { transportColumns } from '../../tree/tables/transport.ts';
import type { usersColumns } from '../../tree/tables/users.ts';
import type { versionColumns } from '../../tree/tables/version.ts';
import type { waitsColumns } from '../../tree/tables/waits.ts';
import type { JsonRow } from '../../vfs/table.ts';
import { CommandFailure } from '../failures.ts';
import { answered, explain, type MountPoint } from './mount-calls.ts';

/** The rows of each table of info/. Fields are the table's columns; `ipcfs help info` says what they mean. */
export interface Tables {
  readonly version: JsonRow<typeof versionColumns>;
  readonly transport: JsonRow<typeof transportColumns>;
  readonly pipes: JsonRow<typeof pipesColumns>;
  readonly kqueues: JsonRow<typeof kqueuesColumns>;
  readonly knotes: JsonRow<typeof knotesColumns>;
  readonly shm: JsonRow<typeof segmentsColumns>;
  readonly handles: JsonRow<typeof handlesColumns>;
  readonly locks: JsonRow<typeof locksColumns>;
  readonly faults: JsonRow<typeof faultsColumns>;
  readonly waits: JsonRow<typeof waitsColumns>;
  readonly users: JsonRow<typeof usersColumns>;
  readonly sysctls: JsonRow<typeof sysctlsColumns>;
}

const READ_BYTES = 65_536;
const MIB = 1024 * 1024;
/** Some 200,000 rows. Who mounts decides what the file says, and it may have no end. */
const MOST_BYTES = 64 * MIB;

/**
 * The rows of info/NAME, as they are at this moment. Does not hang when the server does: fails with a CommandFailure that says what
 * to do when the mount has ended, does not answer within `timeoutMs` (then an UnansweredFailure), or may not be used.
 */
export async function readTable<Name extends keyof Tables>(
  mount: MountPoint,
  name: Name,
  timeoutMs?: number,
): Promise<Tables[Name][]> {
  const file = `info/${name}.json`;
  let text: string;
  try {
    text = await answered(mount, () => readWhole(mount, file), timeoutMs);
  } catch (error) {
    throw explain(error, mount, file);
  }
  try {
    return JSON.parse(text) as Tables[Name][];
  } catch {
    throw new CommandFailure(
      `${mount.directory}/${file} is no JSON: another version of ipcfs serves the mount`,
    );
  }
}

/** To the end of the file, whatever its size claims: tables show size 0. */
async function readWhole({ path, directory }: MountPoint, file: string): Promise<string> {
  const handle = await open(join(path, file), 'r');
  try {
    const parts: Buffer[] = [];
    for (let sizeBytes = 0; sizeBytes <= MOST_BYTES;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, null);
      if (bytesRead === 0) return Buffer.concat(parts).toString('utf8');
      sizeBytes += bytesRead;
      // A short read must not keep the whole buffer.
      parts.push(
        bytesRead < READ_BYTES / 2
          ? Buffer.from(buffer.subarray(0, bytesRead))
          : buffer.subarray(0, bytesRead),
      );
    }
  } finally {
    await handle.close();
  }
  throw new CommandFailure(
    `${directory}/${file} is longer than the ${MOST_BYTES / MIB} MiB that this command reads: read the file itself, if you trust who mounted`,
  );
}
