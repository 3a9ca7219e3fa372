import { EIO } from '../../kern/errno.ts';
import type { Reply, Server } from './server.ts';

/** Operations that are one call under several names. */
const callNames: Readonly<Record<string, string>> = {
  chmod: 'setattr',
  chown: 'setattr',
  utimens: 'setattr',
  truncate: 'setattr',
};
/** Operations whose path is their second word. */
const SYMLINK = 'symlink';
/** Operations whose second word is a path. */
const TWO_PATHS = new Set(['link', 'rename']);

/**
 * The same operations, reported to info/metrics and the trace: all but those that the table of calls reports, with what they slept.
 * `prefix`: where the paths of the operations begin in the tree.
 */
export function metered<Target extends object>(target: Target, server: Server, prefix = ''): Target {
  const { fileSystem, calls } = server;
  const { kernel, operations, trace } = fileSystem;
  const traced = (name: string, words: readonly unknown[], beganMs: number, result: number): void => {
    const pathOf = (path: unknown): string => (prefix + String(path).slice(1)).replace(/\/$/, '') || '.';
    const [first, second] = words;
    const file = typeof first === 'number' ? server.handles.get(first) : null;
    const isPath = typeof first === 'string';
    const call = {
      call: callNames[name] ?? name,
      pid: server.caller().pid,
      beganMs,
      thread: null,
      node: file?.node ?? (isPath ? null : fileSystem.root),
      name: isPath ? pathOf(name === SYMLINK ? second : first) : null,
      newPath: TWO_PATHS.has(name) ? pathOf(second) : null,
      file,
      handle: file?.handle ?? -1,
      argument: -1,
      source: null,
      bytes: null,
    };
    trace.ended(call, result);
  };
  const { clock } = kernel.host;
  return new Proxy(target, {
    get(_target, name: keyof Target & string) {
      const operation = target[name] as (...words: unknown[]) => void;
      const kind = operations.kind(name);
      return (...words: unknown[]) => {
        const reply = words.pop() as Reply<unknown>;
        const beganMs = clock.monotonicMs();
        const end = (result: number): void => {
          if (calls.isReported) return;
          operations.end(kind, result, clock.monotonicMs() - beganMs, -1);
          if (trace.isActive) traced(name, words, beganMs, result);
        };
        try {
          operation.call(target, ...words, (result: number, value: unknown) => {
            end(result);
            reply(result, value);
          });
        } catch (error) {
          // It has a bug, and will be answered so.
          end(-EIO);
          throw error;
        }
      };
    },
  });
}
