import { type ChildProcess, fork } from 'node:child_process';
import { EIO } from '../../kern/errno.ts';
import type { LegacyTarget } from './legacy.ts';
import type {
  FromSegmentProcess,
  OperationName,
  SegmentMountOrder,
  ToSegmentProcess,
} from './segment-protocol.ts';
import type { Reply } from './server.ts';

type AnyOperation = (...words: unknown[]) => void;
type Complain = (call: string, error: unknown) => void;

/** The server's side of the process that has the mount for segments. */
export class SegmentMount {
  readonly #child: ChildProcess;
  readonly #target: LegacyTarget;
  readonly #complain: Complain;
  /** Settles when the process has ended. */
  readonly ended: Promise<void>;

  private constructor(target: LegacyTarget, complain: Complain) {
    this.#target = target;
    this.#complain = complain;
    this.#child = fork(new URL('./segment-process.js', import.meta.url), [], {
      serialization: 'advanced',
      cwd: '/',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.ended = new Promise((resolve) => {
      this.#child.on('close', () => {
        resolve();
      });
    });
  }

  /** Starts the process and lets it mount; rejects with its reason when it cannot. */
  static async start(
    target: LegacyTarget,
    complain: Complain,
    order: Omit<SegmentMountOrder, 'kind'>,
  ): Promise<SegmentMount> {
    const mount = new SegmentMount(target, complain);
    const mounted = new Promise<void>((resolve, reject) => {
      mount.#child.on('message', (message: FromSegmentProcess) => {
        if (message.kind === 'call') mount.#perform(message);
        else if (message.kind === 'mounted') resolve();
        else reject(new Error(message.message));
      });
      mount.#child.on('error', reject);
      void mount.ended.then(() => {
        reject(new Error('its process ended'));
      });
    });
    mount.#tell({ kind: 'mount', ...order });
    try {
      await mounted;
    } catch (error) {
      mount.stop();
      throw error;
    }
    return mount;
  }

  /** Ends the process; its mount is to be taken away before. */
  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  #tell(message: ToSegmentProcess): void {
    if (this.#child.connected) this.#child.send(message);
  }

  #perform({ id, operation, words }: FromSegmentProcess & { kind: 'call' }): void {
    const reply: Reply<unknown> = (result, value) => {
      this.#tell({ kind: 'answer', id, result, value });
    };
    try {
      this.#dispatch(operation, words, reply);
    } catch (error) {
      this.#complain(operation, error);
      reply(-EIO);
    }
  }

  #dispatch(operation: OperationName, words: readonly unknown[], reply: Reply<unknown>): void {
    if (operation === 'read') {
      const [handle, length, position] = words as [number, number, number];
      const bytes = new Uint8Array(length);
      this.#target.read(handle, bytes, length, position, (result) => {
        reply(result, result > 0 ? bytes.subarray(0, result) : undefined);
      });
    } else if (operation === 'write') {
      const [handle, bytes, position] = words as [number, Uint8Array, number];
      this.#target.write(handle, bytes, bytes.length, position, reply);
    } else {
      (this.#target[operation] as AnyOperation).call(this.#target, ...words, reply);
    }
  }
}
