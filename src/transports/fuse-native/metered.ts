import type { FileSystem } from '../../vfs/file-system.ts';
import type { Reply } from './server.ts';

/** Calls that may sleep: the table of calls reports them, with what they slept. */
const REPORTED_ELSEWHERE = new Set<PropertyKey>(['open', 'read', 'write', 'release']);

/** The same operations, reported to info/metrics. */
export function metered<Target extends object>(target: Target, { kernel, operations }: FileSystem): Target {
  const { clock } = kernel.host;
  return new Proxy(target, {
    get(_target, name: keyof Target & string) {
      const operation = target[name] as (...words: unknown[]) => void;
      if (REPORTED_ELSEWHERE.has(name)) return operation.bind(target);
      const kind = operations.kind(name);
      return (...words: unknown[]) => {
        const reply = words.pop() as Reply<unknown>;
        const beganMs = clock.monotonicMs();
        operation.call(target, ...words, (result: number, value: unknown) => {
          operations.end(kind, result, clock.monotonicMs() - beganMs, -1);
          reply(result, value);
        });
      };
    },
  });
}
