import { assert } from '../../../kern/assert.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';

/** A handle that the kernel holds. */
interface OpenHandle {
  readonly file: OpenFile;
  /** Calls on the file that sleep. */
  sleepers: number;
}

/** The handles that requests may name: those of opens that were answered, until their release. */
export class OpenHandles {
  readonly #handles = new Map<number, OpenHandle>();

  get size(): number {
    return this.#handles.size;
  }

  /** Undefined for a handle that the kernel was never given, or has released. */
  get(handle: number): OpenFile | undefined {
    return this.#handles.get(handle)?.file;
  }

  /** The answer to the file's open is about to be sent. */
  add(file: OpenFile): void {
    this.#handles.set(file.handle, { file, sleepers: 0 });
  }

  /** The file is released, or the kernel did not take the answer to its open. */
  remove(file: OpenFile): void {
    this.#handles.delete(file.handle);
  }

  /** A call on the file goes to sleep. A file whose own open sleeps has no handle yet, so nobody can release it. */
  slept(file: OpenFile): void {
    const handle = this.#handles.get(file.handle);
    if (handle !== undefined) handle.sleepers++;
  }

  /** A call that slept on the file has ended. */
  ended(file: OpenFile): void {
    const handle = this.#handles.get(file.handle);
    if (handle === undefined) return;
    handle.sleepers--;
    assert(handle.sleepers >= 0, 'a call that ends on a file slept on it');
  }

  files(): Iterable<OpenFile> {
    return Array.from(this.#handles.values(), ({ file }) => file);
  }

  /** Repeats the invariants, with the calls that sleep on each file; called after every step in tests. */
  checkInvariants(sleepers: ReadonlyMap<OpenFile, number>): void {
    for (const [handle, { file, sleepers: counted }] of this.#handles) {
      assert(file.handle === handle, 'a file is named by its handle');
      assert(counted === (sleepers.get(file) ?? 0), 'a handle counts the calls on its file that sleep');
    }
  }

  /** Whether a call on the file sleeps: the kernel keeps such a file, so a release of it is refused. */
  isBusy(file: OpenFile): boolean {
    return this.#handles.get(file.handle)!.sleepers > 0;
  }
}
