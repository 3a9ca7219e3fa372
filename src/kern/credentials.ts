/** Who makes a call. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, where somebody has looked them up: requests do not carry them, and the host's kernel checks modes. */
  readonly groups?: readonly number[];
  /** The calling thread's id in the host, 0 when it is not known. */
  readonly pid: number;
}

export const rootCredentials: Credentials = { uid: 0, gid: 0, pid: 0 };
