/** Bits of `ForeignState.ready`. */
export const Ready = {
  /** A read would not wait. */
  Read: 0x01,
  /** A write would not wait. */
  Write: 0x02,
  /** Nothing will come beyond what can be read. */
  EndOfInput: 0x04,
  /** Nobody takes what is written. */
  EndOfOutput: 0x08,
  /** Data out of band. */
  Urgent: 0x10,
} as const;

/** Sides of a file that somebody watches. */
export const Side = { Read: 0x1, Write: 0x2, Except: 0x4, Notes: 0x8 } as const;

/** What a file outside of the mount shows at one moment. */
export interface ForeignState {
  /** Bits of Ready. */
  readonly ready: number;
  /** Bytes that can be read, or connections that can be accepted. For a plain file, bytes between offset and end; negative beyond the end. */
  readonly readableBytes: number;
  /** Bytes that can be written without waiting, as far as it is known. */
  readonly writableBytes: number;
  /** A positive errno that belongs to an end, 0 for none (so_error). */
  readonly error: number;
}

/** A file that was found. */
export interface ForeignDescription {
  /** Names the file in later requests and answers; never given twice. */
  readonly file: number;
  /** The process whose descriptor it is; 0 for a path. */
  readonly holderPid: number;
  /** A file or directory of a file system: it has notes, and no ends. */
  readonly isNode: boolean;
  readonly isReadable: boolean;
  readonly isWritable: boolean;
  readonly state: ForeignState;
}

/** Who asks for a file: what he could not open is not watched for him. */
export interface ForeignUser {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** What is asked of a host about files outside of the mount. Each `id` is answered once. */
export type ForeignRequest =
  | {
      /** Find the file behind a descriptor, and watch it from now on. */
      readonly kind: 'descriptor';
      readonly id: number;
      readonly pid: number;
      /** Another process: if its descriptor of this number leads to the same open file, it is the holder. */
      readonly otherPid: number;
      readonly descriptor: number;
      readonly side: number;
      readonly user: ForeignUser;
    }
  | {
      /** Find the file that a path leads to, with the rights of a user, as a process sees it. */
      readonly kind: 'path';
      readonly id: number;
      readonly pid: number;
      /** Absolute, one character a byte. */
      readonly path: string;
      readonly side: number;
      readonly user: ForeignUser;
    }
  /** Tell the state of these files, after everything that has happened until now. */
  | { readonly kind: 'look'; readonly id: number; readonly files: readonly number[] }
  /** Watch a file no longer, which `count` answers have described. Not answered. */
  | { readonly kind: 'forget'; readonly file: number; readonly count: number };

export type ForeignAnswer =
  | { readonly kind: 'found'; readonly id: number; readonly description: ForeignDescription }
  | {
      readonly kind: 'refused';
      readonly id: number;
      /** Negative. */
      readonly errno: number;
      /** One line for people: why, and what to do. */
      readonly reason: string;
    }
  /** The path leads into this mount: to this path from its root. */
  | { readonly kind: 'inside'; readonly id: number; readonly path: string }
  | { readonly kind: 'looked'; readonly id: number }
  /** Something happened to a file: also before each `looked`, for the files that it is about. */
  | {
      readonly kind: 'state';
      readonly file: number;
      /** Null when its descriptor has been closed: the file is forgotten. */
      readonly state: ForeignState | null;
      /** Notes (NOTE_WRITE and so on) of what has been done to a node. */
      readonly notes: number;
      /** The sides (bits of Side) on which something has happened; 0 when it was only looked at. */
      readonly news: number;
    };

/**
 * Looks at files of the host that are none of the mount, on behalf of users. Looking can wait for what users do, so it is done elsewhere
 * than in the serving thread, and for each user in another place: nobody waits for files of others.
 */
export interface ForeignHost {
  /** Passes a request on. 0, or a negative errno when this user has nobody to look: -ENOMEM. */
  ask(uid: number, request: ForeignRequest): number;
  /** Takes the answers, between operations. */
  onAnswer: (answer: ForeignAnswer) => void;
}
