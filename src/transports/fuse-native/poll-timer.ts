import { PollSet } from '../../host/linux/io/poll-set.ts';
import type { PollSource, PollSources } from '../../host/poll-sources.ts';

/** How late an event of the host may be heard. */
const LOOK_MS = 10;

/** Listens to descriptors that Node's event loop cannot listen to, by looking at them; only while there are some. */
export class PollTimer implements PollSources {
  readonly #set = new PollSet([]);
  readonly #heard: () => void;
  #timer: NodeJS.Timeout | null = null;

  /** `heard` is called after sources were. */
  constructor(heard: () => void) {
    this.#heard = heard;
  }

  add(source: PollSource): void {
    this.#set.add(source);
    this.#timer ??= setInterval(() => {
      if (this.#set.wait(0)) this.#heard();
    }, LOOK_MS);
  }

  remove(source: PollSource): void {
    this.#set.remove(source);
    if (this.#set.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
