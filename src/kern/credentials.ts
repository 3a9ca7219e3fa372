/** Who makes a call. Supplementary groups do not travel with requests: the host's kernel checks modes. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  /** The calling thread's id in the host, 0 when it is not known. */
  readonly pid: number;
}

export const rootCredentials: Credentials = { uid: 0, gid: 0, pid: 0 };
