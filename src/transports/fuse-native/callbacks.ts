import { hostResult } from '../../host/host-numbers.ts';
import { EIO } from '../../kern/errno.ts';
import type { BindingOperations } from './binding.ts';
import type { FileOperations } from './file-operations.ts';
import type { Turns } from './turns.ts';

/** The function that a binding hands to each callback: the result, and what the callback gives beside it. */
export type Answer = (result: number, value?: unknown, more?: unknown) => void;

/** Logs a bug that has cost a call. */
export type Complain = (call: string, error: unknown) => void;

/** Runs the body of a callback in its turn, with a function that answers it in the host's error numbers. */
export type Perform = (call: string, answer: Answer, body: (reply: Answer) => void) => void;

/** `enter` is called as the callback arrives, and what it gives just before the body runs. */
export function performer(turns: Turns, complain: Complain, enter?: (call: string) => () => void): Perform {
  return (call, answer, body) => {
    const reply: Answer = (result, value, more) => {
      answer(hostResult(result), value, more);
    };
    const prepare = enter?.(call);
    turns.enqueue(call === 'release', () => {
      try {
        prepare?.();
        body(reply);
      } catch (error) {
        complain(call, error);
        reply(-EIO);
      }
    });
  };
}

/** The operations behind the callbacks that all packages have in one form: some other process may perform them. */
export type CommonTarget = Pick<
  FileOperations,
  | 'readlink'
  | 'statfs'
  | 'mknod'
  | 'mkdir'
  | 'symlink'
  | 'link'
  | 'unlink'
  | 'rmdir'
  | 'truncate'
  | 'read'
  | 'write'
  | 'release'
>;

/** The callbacks that all packages have in one form. */
export function commonCallbacks(target: CommonTarget, perform: Perform): BindingOperations {
  return {
    readlink(path: string, answer: Answer) {
      perform('readlink', answer, (reply) => {
        target.readlink(path, reply);
      });
    },
    statfs(_path: string, answer: Answer) {
      perform('statfs', answer, (reply) => {
        target.statfs(reply);
      });
    },
    mknod(path: string, mode: number, _device: number, answer: Answer) {
      perform('mknod', answer, (reply) => {
        target.mknod(path, mode, reply);
      });
    },
    mkdir(path: string, mode: number, answer: Answer) {
      perform('mkdir', answer, (reply) => {
        target.mkdir(path, mode, reply);
      });
    },
    symlink(content: string, path: string, answer: Answer) {
      perform('symlink', answer, (reply) => {
        target.symlink(content, path, reply);
      });
    },
    link(path: string, newPath: string, answer: Answer) {
      perform('link', answer, (reply) => {
        target.link(path, newPath, reply);
      });
    },
    unlink(path: string, answer: Answer) {
      perform('unlink', answer, (reply) => {
        target.unlink(path, reply);
      });
    },
    rmdir(path: string, answer: Answer) {
      perform('rmdir', answer, (reply) => {
        target.rmdir(path, reply);
      });
    },
    truncate(path: string, sizeBytes: number, answer: Answer) {
      perform('truncate', answer, (reply) => {
        target.truncate(path, sizeBytes, reply);
      });
    },
    ftruncate(_path: string | null, handle: number, sizeBytes: number, answer: Answer) {
      perform('truncate', answer, (reply) => {
        target.truncate(handle, sizeBytes, reply);
      });
    },
    read(
      _path: string | null,
      handle: number,
      buffer: Buffer,
      length: number,
      position: number,
      answer: Answer,
    ) {
      perform('read', answer, (reply) => {
        target.read(handle, buffer, length, position, reply);
      });
    },
    write(
      _path: string | null,
      handle: number,
      buffer: Buffer,
      length: number,
      position: number,
      answer: Answer,
    ) {
      perform('write', answer, (reply) => {
        target.write(handle, buffer, length, position, reply);
      });
    },
    release(_path: string | null, handle: number, answer: Answer) {
      perform('release', answer, (reply) => {
        target.release(handle, reply);
      });
    },
  };
}
