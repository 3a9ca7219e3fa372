/** A line of calls that do not overlap: a thread's, or a further one where calls of unknown callers run at the same time. */
export interface Track {
  readonly id: number;
  readonly process: number;
  readonly thread: number;
  /** 0, and 1 and more for further ones of the same thread. */
  readonly lane: number;
  /** The process's name, one character a byte. */
  command: string;
}

/** A call as a picture shows it. Times are in microseconds since the picture's begin; texts have one character a byte. */
export interface PictureCall {
  readonly track: Track;
  readonly call: string;
  readonly object: string;
  readonly beginUs: number;
  /** When it began to wait; null for one that did not. */
  readonly blockedFromUs: number | null;
  /** What it waited for, as in info/waits; empty when that is not known. */
  readonly wait: string;
}

export interface EndedCall extends PictureCall {
  readonly endUs: number;
  /** All its waits together. */
  readonly blockedUs: number;
  readonly result: number;
  /** The name of the error; empty for none. */
  readonly error: string;
  /** What the call was asked for, by the names of info/trace.json. */
  readonly details: Readonly<Record<string, string | number>>;
  /** Whether `began` has told of it. */
  readonly hasBegun: boolean;
}

/** A moment on a track. */
export interface Place {
  readonly track: Track;
  readonly us: number;
}

/** A call that is part of a deadlock. */
export interface StuckCall {
  readonly process: number;
  readonly thread: number;
  readonly command: string;
  readonly call: string;
  readonly object: string;
  /** Processes that could end it. */
  readonly enders: readonly number[];
}

/** What draws: a form of picture. Members are called in the order in which the trace tells of things, which is not that of their times. */
export interface PictureSink {
  /** A new track, or a new name of its process. */
  track(track: Track): void;
  /** A call has begun to wait. */
  began(call: PictureCall & { readonly blockedFromUs: number }): void;
  ended(call: EndedCall): void;
  /** Its end was not seen: lines were lost. It was over at `us`. */
  forgotten(call: PictureCall, us: number): void;
  /** A write's bytes went to a read. Both places are inside their calls. */
  arrow(from: Place, to: Place, object: string, bytes: number): void;
  /** Bytes that a pipe holds from then on. */
  fill(object: string, us: number, bytes: number): void;
  event(place: Place, name: string, text: string): void;
  lost(us: number, lines: number): void;
  deadlock(us: number, text: string, calls: readonly StuckCall[]): void;
}
