import type { PictureCall, Track } from './picture.ts';

/** Threads that are remembered without a call under way. */
const LIMIT = 8192;
/** What a forgotten thread may cost to find. */
const TRIES = 16;
/** Times are rounded: calls that overlap by so little follow each other. */
const ROUNDING_US = 2;

export interface Caller {
  readonly process: number;
  readonly thread: number;
  readonly command: string;
}

/** A track, and what is on it. */
export interface TrackState {
  readonly track: Track;
  /** The call that has begun to wait, and whose end has not come. */
  open: PictureCall | null;
  /** Where its last call ended. */
  endUs: number;
}

/** The tracks of all threads. Threads that have made no call for long are forgotten, and are new when they come again. */
export class Tracks {
  readonly #threads = new Map<number, TrackState[]>();
  readonly #onTrack: (track: Track) => void;
  #lastId = 0;

  constructor(onTrack: (track: Track) => void) {
    this.#onTrack = onTrack;
  }

  /** The tracks of the caller's thread, one at least. */
  of(caller: Caller): readonly TrackState[] {
    return this.#lanesOf(caller);
  }

  /** A track on which nothing is under way, and nothing ended after `beginUs`. */
  freeFor(caller: Caller, beginUs: number): TrackState {
    const lanes = this.#lanesOf(caller);
    const free = lanes.find(({ open, endUs }) => open === null && endUs <= beginUs + ROUNDING_US);
    return free ?? this.#add(lanes, caller);
  }

  /** When the oldest call began to wait that still does; Infinity for none. */
  get oldestWaitUs(): number {
    let oldestUs = Infinity;
    for (const lanes of this.#threads.values()) {
      for (const { open } of lanes) if (open !== null) oldestUs = Math.min(oldestUs, open.blockedFromUs!);
    }
    return oldestUs;
  }

  #lanesOf(caller: Caller): TrackState[] {
    const { process, thread, command } = caller;
    let lanes = this.#threads.get(thread);
    // The number of a thread that has ended is given again; a call that waits is still that thread's.
    if (lanes?.[0]!.track.process !== process && lanes?.some(({ open }) => open !== null) !== true) {
      const endUs = Math.max(0, ...(lanes ?? []).map((lane) => lane.endUs));
      this.#threads.delete(thread);
      this.#makeRoom();
      this.#threads.set(thread, (lanes = []));
      this.#add(lanes, caller).endUs = endUs;
    }
    if (command !== '' && lanes[0]!.track.command !== command) {
      for (const { track } of lanes) {
        track.command = command;
        this.#onTrack(track);
      }
    }
    return lanes;
  }

  #add(lanes: TrackState[], { process, thread, command }: Caller): TrackState {
    const track: Track = { id: ++this.#lastId, process, thread, lane: lanes.length, command };
    const state: TrackState = { track, open: null, endUs: 0 };
    lanes.push(state);
    this.#onTrack(track);
    return state;
  }

  #makeRoom(): void {
    for (let tries = 0; this.#threads.size >= LIMIT && tries < TRIES; tries++) {
      const [thread, lanes] = this.#threads.entries().next().value!;
      this.#threads.delete(thread);
      // One that waits is needed, and is looked at again when all others have been.
      if (lanes.some(({ open }) => open !== null)) this.#threads.set(thread, lanes);
    }
  }
}
