import { complain } from '../../host/complain.ts';
import { loadModule } from './binding.ts';
import { legacyOperations, legacyOptions, type LegacyTarget } from './legacy.ts';
import { ready } from './ready.ts';
import type { FromSegmentProcess, SegmentMountOrder, ToSegmentProcess } from './segment-protocol.ts';

/** A process that has the mount for segments and hands every callback to the server, whose child it is. */

process.title = 'ipcfs-shm';
// The server ends this process, also when both are in the foreground of one terminal.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit(0));

type AnyReply = (result: number, value?: unknown) => void;

const pending = new Map<number, AnyReply>();
let lastId = 0;

function tell(message: FromSegmentProcess): void {
  process.send!(message);
}

function forward(operation: keyof LegacyTarget, words: readonly unknown[], reply: AnyReply): void {
  const id = ++lastId;
  pending.set(id, reply);
  tell({ kind: 'call', id, operation, words });
}

/** Every operation by its name: its words, and last the reply. */
const remote = new Proxy({} as LegacyTarget, {
  get(_target, operation: keyof LegacyTarget) {
    return (...words: unknown[]) => {
      const reply = words.pop() as AnyReply;
      if (operation === 'read') {
        const [handle, buffer, length, position] = words as [number, Buffer, number, number];
        forward('read', [handle, length, position], (result, bytes) => {
          if (result > 0) buffer.set(bytes as Uint8Array);
          reply(result);
        });
      } else if (operation === 'write') {
        const [handle, buffer, length, position] = words as [number, Buffer, number, number];
        forward('write', [handle, buffer.subarray(0, length), position], reply);
      } else {
        forward(operation, words, reply);
      }
    };
  },
});

async function mount({ directory, module, mountKind, options }: SegmentMountOrder): Promise<void> {
  const Fuse = loadModule(module);
  const operations = legacyOperations(remote, (call, error) => {
    complain(`ipcfs: internal error in ${call} of shm, please report it: ${String(error)}\n`);
  });
  const fuse = new Fuse(directory, operations, legacyOptions(mountKind, options));
  await ready(fuse);
  tell({ kind: 'mounted' });
}

process.on('message', (message: ToSegmentProcess) => {
  if (message.kind === 'mount') {
    mount(message).catch((error: unknown) => {
      tell({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
    });
    return;
  }
  const reply = pending.get(message.id)!;
  pending.delete(message.id);
  reply(message.result, message.value);
});
