import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { ForeignAnswer, ForeignRequest } from '../../../kern/foreign.ts';
import { complain, logByComplaining } from '../../complain.ts';
import * as libc from '../libc.ts';
import { takeOwnDescriptors } from './descriptor-table.ts';
import type { Farewell, ForeignWorkerInput } from './foreign-host.ts';
import { ForeignWatcher } from './watcher.ts';

// A thread that looks at files of users outside of the mount. While it serves requests libuv's loop does not run.

const { port, requestDescriptor, answerDescriptor, firstNumber, deviceMinor } =
  workerData as ForeignWorkerInput & { port: MessagePort };

// This thread's standard error would need the loop.
logByComplaining();

const one = new BigUint64Array([1n]);
const counter = new BigUint64Array(1);

function answer(message: ForeignAnswer | Farewell): void {
  port.postMessage(message);
  libc.write(answerDescriptor, one, one.byteLength);
}

/** False when the thread is to end. */
function takeRequests(watcher: ForeignWatcher): boolean {
  libc.read(requestDescriptor, counter, counter.byteLength);
  for (;;) {
    const received = receiveMessageOnPort(port) as { message: ForeignRequest | Farewell } | undefined;
    if (received === undefined) return true;
    if (received.message.kind === 'end') return false;
    watcher.serve(received.message);
  }
}

function serve(watcher: ForeignWatcher): void {
  const descriptors = [requestDescriptor, ...watcher.descriptors];
  const words = new Int32Array(descriptors.flatMap((descriptor) => [descriptor, libc.POLLIN]));
  do {
    libc.poll(words, descriptors.length, -1);
    watcher.takeEvents();
  } while (takeRequests(watcher));
}

// Without a table of its own the thread is of no use: its requests are not answered.
try {
  if (takeOwnDescriptors()) serve(new ForeignWatcher(firstNumber, deviceMinor, answer));
} catch (error) {
  // The thread that started this one never hears of it.
  complain(`ipcfs: watching files outside of the mount failed: ${String(error)}\n`);
}
answer({ kind: 'end' });
port.close();
