import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandFailure } from './failure.ts';
import { answered, explain, type MountPoint } from './mount-calls.ts';

/** The rows of each table of info/. Fields are the table's columns; what they mean is in README.md, "The tree". */
export interface Tables {
  readonly version: { readonly name: string; readonly version: string; readonly pid: number };
  readonly transport: { readonly name: string; readonly value: string | number };
  readonly pipes: {
    readonly path: string;
    readonly ino: number;
    /** Bytes in the ring. */
    readonly cnt: number;
    readonly in: number;
    readonly out: number;
    /** Of the ring, in bytes. */
    readonly size: number;
    /** Bytes of a sleeping writer that can be read. */
    readonly direct: number;
    readonly readers: number;
    readonly writers: number;
    readonly 'blocked-readers': number;
    readonly 'blocked-writers': number;
    readonly state: string;
    /** Written and read since the pipe was made. */
    readonly 'bytes-in': number;
    readonly 'bytes-out': number;
  };
  readonly kqueues: {
    readonly id: number;
    readonly name: string;
    readonly pid: number;
    readonly knotes: number;
    readonly pending: number;
    readonly 'blocked-readers': number;
  };
  readonly knotes: {
    readonly kqueue: number;
    readonly filter: string;
    readonly ident: string;
    readonly flags: string;
    readonly fflags: string;
    /** A decimal integer, which may be beyond 2^53. */
    readonly data: string;
    readonly status: string;
    readonly udata: string;
  };
  readonly shm: {
    readonly id: number;
    readonly key: string;
    /** Octal. */
    readonly mode: string;
    readonly owner: number;
    readonly group: number;
    readonly creator: number;
    readonly cgroup: number;
    /** In bytes. */
    readonly size: number;
    readonly nattch: number;
    readonly cpid: number;
    readonly lpid: number;
    /** Seconds since 1970, as dtime and ctime; 0 for never. */
    readonly atime: number;
    readonly dtime: number;
    readonly ctime: number;
    readonly state: string;
    /** Processes, separated by commas. */
    readonly 'mapped-by': string;
  };
  readonly handles: {
    readonly handle: number;
    readonly path: string;
    /** `r`, `w`, `rw`, or empty. */
    readonly mode: string;
    readonly nonblock: 'yes' | 'no';
    readonly uid: number;
    readonly pid: number;
    readonly 'msgs-in': number;
    readonly 'msgs-out': number;
  };
  readonly waits: {
    /** The calling thread. */
    readonly pid: number;
    readonly call: string;
    readonly object: string;
    readonly wait: string;
    /** Seconds. */
    readonly since: number;
    /** The process of the thread; `-`, as command, when the server cannot find it. */
    readonly process: number | '-';
    readonly command: string;
    readonly ino: number;
    /** Inode whose holders could end the wait; `-` where it is not ended by a holder. */
    readonly 'peer-ino': number | '-';
    /** Open files of that inode that could; 0 when somebody has to open it first. */
    readonly peers: number | '-';
    /** What would end the wait, in words. */
    readonly until: string;
  };
}

const READ_BYTES = 65_536;

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
    text = await answered(mount, () => readWhole(join(mount.path, file)), timeoutMs);
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
async function readWhole(path: string): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const parts: Buffer[] = [];
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, null);
      if (bytesRead === 0) return Buffer.concat(parts).toString('utf8');
      parts.push(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}
