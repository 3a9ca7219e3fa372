/** A record that has been taken out of a pipe, and comes back if the process is killed before `finish`. */
export interface TakenRecord {
  readonly bytes: Uint8Array;
  /** It is stored elsewhere: the pipe may forget it. */
  finish(): void;
}

/** Where records come from. */
export interface RecordSource {
  /** The next record. One call at a time; it waits until there is one. */
  take(): Promise<TakenRecord>;
  /** Whether a record may be with this process that is not finished: only a signal that ends the process gives it back. */
  readonly hasUnfinished: boolean;
  /** Lets go of finished records. */
  close(): Promise<void>;
}

/** Where records go. */
export interface RecordSink {
  /** Stores records in this order; one call at a time. Returns once all are stored, which waits for room. */
  put(records: readonly Uint8Array[]): Promise<void>;
  /** How many of the records that were put are with a reader, counted from the first. */
  readCount(): Promise<number>;
}
