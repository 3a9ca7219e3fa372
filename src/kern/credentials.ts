/** Who makes a call. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, where somebody has looked them up: requests do not carry them, and the host's kernel checks modes. */
  readonly groups?: readonly number[];
  /** The calling thread's id in the host, 0 when it is not known. */
  readonly pid: number;
  /** The call is a process's of another user than these ids are: what belongs to that process is not meant. */
  readonly isDelegated?: true;
}

export const rootCredentials: Credentials = { uid: 0, gid: 0, pid: 0 };

/**
 * With whose rights text that is written to a control file is carried out: the writer's, if he is who opened the file, or if root has
 * opened it; otherwise the opener's. Programs that are set-user-id or set-group-id write what their callers make them write, to
 * descriptors that their callers gave them, and must not lend their rights by that.
 */
export function writerCredentials(opener: Credentials, writer: Credentials): Credentials {
  if (opener.uid === 0 || (opener.uid === writer.uid && opener.gid === writer.gid)) return writer;
  return { uid: opener.uid, gid: opener.gid, groups: [], pid: writer.pid, isDelegated: true };
}
