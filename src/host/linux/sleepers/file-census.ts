import type { FileSeen, ProcessView } from './process-view.ts';

/** Descriptors of eventfds and the like that are remembered, of all processes. */
const MOST_ANONYMOUS = 8192;
/** Pipes that are remembered. */
const MOST_PIPES = 32_768;
/** Comparisons of open files in one look: 1 us each. */
const MOST_COMPARISONS = 20_000;

/** Of a pipe that several processes have open. */
const SEVERAL = -1;

/** Who has which files open that a process may use to wake itself. */
export class FileCensus {
  readonly #view: ProcessView;
  /** By device and inode: the only process that has the pipe open, or SEVERAL. */
  readonly #pipes = new Map<string, number>();
  readonly #anonymous: [pid: number, descriptor: number][] = [];
  #comparisons = 0;
  /** Some processes were left out: nothing is known to be of one process only. */
  isPartial = false;

  constructor(view: ProcessView) {
    this.#view = view;
  }

  add(pid: number, descriptor: number, file: FileSeen): void {
    if (file.type === 'pipe') {
      const key = keyOf(file);
      const known = this.#pipes.get(key);
      if (known === undefined) {
        if (this.#pipes.size === MOST_PIPES) this.isPartial = true;
        else this.#pipes.set(key, pid);
      } else if (known !== pid) this.#pipes.set(key, SEVERAL);
    } else if (file.type === 'anonymous') {
      if (this.#anonymous.length === MOST_ANONYMOUS) this.isPartial = true;
      else this.#anonymous.push([pid, descriptor]);
    }
  }

  /** Whether only the process itself can make this file of its own ready. Not when that is not known. */
  isOwn(pid: number, descriptor: number, file: FileSeen): boolean {
    if (this.isPartial) return false;
    const link = this.#view.link(pid, descriptor) ?? '';
    // A pipe with a name can be opened by others.
    if (file.type === 'pipe') return link.startsWith('pipe:[') && this.#pipes.get(keyOf(file)) === pid;
    if (file.type !== 'anonymous' || link !== 'anon_inode:[eventfd]') return false;
    return this.#anonymous.every(
      ([other, number]) =>
        other === pid ||
        (this.#comparisons++ < MOST_COMPARISONS &&
          this.#view.isSameFile(pid, descriptor, other, number) === false),
    );
  }
}

function keyOf({ deviceMajor, deviceMinor, inode }: FileSeen): string {
  return `${deviceMajor}:${deviceMinor}:${inode}`;
}
