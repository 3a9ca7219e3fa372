import { EIO } from '../../kern/errno.ts';
import type { Reply, Server } from './server.ts';

/** The same operations, reported to info/metrics: all but those that the table of calls reports, with what they slept. */
export function metered<Target extends object>(target: Target, { fileSystem, calls }: Server): Target {
  const { kernel, operations } = fileSystem;
  const { clock } = kernel.host;
  return new Proxy(target, {
    get(_target, name: keyof Target & string) {
      const operation = target[name] as (...words: unknown[]) => void;
      const kind = operations.kind(name);
      return (...words: unknown[]) => {
        const reply = words.pop() as Reply<unknown>;
        const beganMs = clock.monotonicMs();
        const end = (result: number): void => {
          if (!calls.isReported) operations.end(kind, result, clock.monotonicMs() - beganMs, -1);
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
