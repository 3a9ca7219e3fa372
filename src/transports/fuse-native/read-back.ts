/** More than what shells and head(1) read ahead of a line. */
const LIMIT_BYTES = 65536;

const NOTHING = new Uint8Array(0);

/**
 * The position of a stream for a host that lets callers seek in it. bash reads ahead, takes a line, and seeks back to its end, wherever that
 * seems to work: what it gives back that way is given to it again, or it would be lost. tar and dd seek forward past what they do not
 * want: so much is skipped.
 */
export class ReadBack {
  /** Where the next call begins if nobody seeks. */
  #expected = 0;
  /** The bytes that the last read gave. */
  #last: Uint8Array = NOTHING;
  /** How many of them count as read. */
  #taken = 0;

  /** A call that begins at `position`. A seek within what was last read gives it back; one further back says nothing. */
  begin(position: number): void {
    const taken = this.#taken - (this.#expected - position);
    if (taken >= 0) this.#taken = Math.min(taken, this.#last.length);
    this.#expected = position;
  }

  /** A read that begins at `position`: as `begin`, and how many bytes of the stream lie before what it wants. */
  beginRead(position: number): number {
    const beyond = position - this.#expected - (this.#last.length - this.#taken);
    this.begin(position);
    if (beyond <= 0) return 0;
    this.#expected -= beyond;
    return beyond;
  }

  /** So many of the bytes before it have been read. */
  skipped(count: number): void {
    this.#expected += count;
  }

  /** Gives what was given back, as much as fits: the count, 0 when there is nothing. */
  take(target: Uint8Array): number {
    const count = Math.min(target.length, this.#last.length - this.#taken);
    target.set(this.#last.subarray(this.#taken, this.#taken + count));
    this.#taken += count;
    this.#expected += count;
    return count;
  }

  /** A read has given these bytes. */
  gave(bytes: Uint8Array): void {
    // Not slice: that of a Buffer shows memory which is libfuse's again after the answer.
    this.#last = bytes.length <= LIMIT_BYTES ? new Uint8Array(bytes) : NOTHING;
    this.#taken = this.#last.length;
    this.#expected += bytes.length;
  }

  /** A write has taken so many bytes, which moves the position too. */
  wrote(count: number): void {
    this.#expected += count;
  }
}
