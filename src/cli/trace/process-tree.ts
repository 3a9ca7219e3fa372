import { processState } from '../../host/linux/processes/processes.ts';

/** How long a process is known not to belong to the tree: its number may be given again. */
const FORGET_MS = 1000;
/** The parents of a process, and no end if numbers are given again meanwhile. */
const DEEPEST = 1000;

/**
 * A process and its children, as far as parents are known: the mount tells the parent of each caller, and the parents of those are looked up
 * while they live. One whose parent has ended before it made its first call is not found.
 */
export class ProcessTree {
  readonly #members: Set<number>;
  readonly #others = new Map<number, number>();

  constructor(root: number) {
    this.#members = new Set([root]);
  }

  has(process: number, parent: number): boolean {
    if (this.#members.has(process)) return true;
    const nowMs = performance.now();
    if ((this.#others.get(process) ?? 0) > nowMs) return false;
    let ancestor = parent;
    for (let depth = 0; ancestor > 1 && depth < DEEPEST; depth++) {
      if (this.#members.has(ancestor)) {
        this.#members.add(process);
        return true;
      }
      ancestor = processState(ancestor)?.parent ?? 0;
    }
    this.#others.set(process, nowMs + FORGET_MS);
    return false;
  }
}
