import { format } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import createDebug from 'debug';
import { complain, LinuxHost } from '../../host/linux/linux-host.ts';
import { Kernel } from '../../kern/kernel.ts';
import { FileSystem } from '../../vfs/file-system.ts';
import { FuseDevice } from './device.ts';
import { runLoop } from './loop.ts';
import { Session } from './session.ts';
import type { WorkerInput, WorkerMessage } from './worker-protocol.ts';

// The loop never returns to Node's event loop, which would carry standard error's writes.
createDebug.log = (...words: unknown[]) => {
  complain(format(...words) + '\n');
};

const input = workerData as WorkerInput;
const kernel = new Kernel(new LinuxHost());
const fileSystem = new FileSystem(kernel, input.identity);
for (const [name, value] of input.sysctls) kernel.sysctls.preset(name, value);

const device = new FuseDevice(input.fuseDescriptor, input.wakeDescriptor);
const session = new Session(fileSystem, device);

function tell(message: WorkerMessage): void {
  parentPort!.postMessage(message);
}

const why = runLoop(session, device, {
  spinMs: input.spinMs,
  isStopping: () => Atomics.load(input.stop, 0) !== 0,
  onReady: () => {
    tell({ kind: 'ready' });
  },
});
tell({ kind: 'ended', why });
