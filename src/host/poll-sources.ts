/** A descriptor that something of the host can be heard on. */
export interface PollSource {
  readonly descriptor: number;
  /** Somebody waits for what it will tell: it is looked at whenever there is no request. */
  readonly isAwaited?: boolean;
  /** There is something to read, or the other end is gone. Takes what there is without waiting. */
  readable(): void;
}

/** What the serving loop listens to beside its requests. */
export interface PollSources {
  add(source: PollSource): void;
  /** May be called from within `readable`, of this source or another. The descriptor is closed after this, not before. */
  remove(source: PollSource): void;
}
