import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { LinuxProcessEvents } from '../../host/linux/events/process-events.ts';
import { LinuxForeignHost } from '../../host/linux/foreign/foreign-host.ts';
import { FileClosings } from '../../host/linux/descriptors/file-closings.ts';
import { logByComplaining } from '../../host/complain.ts';
import { LinuxHost } from '../../host/linux/linux-host.ts';
import * as libc from '../../host/linux/libc.ts';
import { moveToProcessorOf } from '../../host/linux/processes/processors.ts';
import { ownerForRoot } from '../../host/linux/processes/user-namespace.ts';
import { MemfdMemory } from '../../host/linux/memory/memfd.ts';
import { errnoName } from '../../kern/errno.ts';
import { Kernel } from '../../kern/kernel.ts';
import { FileSystem } from '../../tree/file-system.ts';
import { HandleQuery } from '../common/handle-query.ts';
import { MapperQuery } from '../common/mapper-query.ts';
import { SleeperQuery } from '../common/sleeper-query.ts';
import { FuseDevice } from './device/device.ts';
import { type LoopEnd, runLoop } from './loop.ts';
import { rawTransport } from './raw-transport.ts';
import { openRingDevice } from './ring-device/open-ring-device.ts';
import { DetachSettler } from './segments/detach-settler.ts';
import { LastMappings } from './segments/last-mappings.ts';
import { Placement } from './device/placement.ts';
import { Session } from './session/session.ts';
import { Flag, type MainMessage, type WorkerInput, type WorkerMessage } from './worker-protocol.ts';

// The loop never returns to Node's event loop, which would carry standard error's writes.
logByComplaining();

const input = workerData as WorkerInput;
const host = new LinuxHost();
host.mount = input.mount;
host.collectSigio();
const kernel = new Kernel(host);
const memory = new MemfdMemory();
const fuseDevice = new FuseDevice(input.fuseDescriptor, input.wakeDescriptor);
const processEvents = new LinuxProcessEvents(fuseDevice.sources);
const foreignHost = new LinuxForeignHost(fuseDevice.sources, input.mount);

function tell(message: WorkerMessage): void {
  parentPort!.postMessage(message);
}

const mappers = new MapperQuery(kernel, () => {
  tell({ kind: 'findMappers' });
});
/** Of more blocked calls the others are found out to be none of the sleepers later. */
const MOST_BLOCKED = 4096;

const sleepers = new SleeperQuery(kernel, () => {
  const blocked: number[] = [];
  for (const { pid } of session.blockedCalls()) {
    if (blocked.push(pid) === MOST_BLOCKED) break;
  }
  tell({ kind: 'findSleepers', blocked });
});
const handles = new HandleQuery(kernel, (question) => {
  tell({ kind: 'findHandle', question });
});

const fileSystem = new FileSystem(kernel, {
  identity: input.identity,
  transport: rawTransport(() => session, {
    findMappers: () => mappers.ask(),
    findSleepers: () => sleepers.ask(),
    findHandle: (pid, descriptor) => handles.find(pid, descriptor),
  }),
  memory,
  processEvents,
  foreignHost,
});
for (const [name, value] of input.sysctls) kernel.sysctls.preset(name, value);

const { device, refusal } = openRingDevice(fuseDevice, {
  wanted: input.ioUring,
  fuseDescriptor: input.fuseDescriptor,
  entryLimit: fileSystem.ringEntries.limit,
  host,
});

const session: Session = new Session(fileSystem, device, new Placement(moveToProcessorOf), ownerForRoot());
session.backings.wanted = input.shmBacking;

/** Lets detaches wait for the last mapping where releases do not. */
function watchMappings(): void {
  if (session.backings.kind !== 'passthrough') return;
  const closings = FileClosings.open();
  if (typeof closings === 'number') {
    reportUnwatched(closings);
    return;
  }
  const lastMappings = new LastMappings({
    closings,
    sources: fuseDevice.sources,
    callouts: kernel.callouts,
    findRanges: (answer) => {
      mappers.findRanges(answer);
    },
    onUnwatched: reportUnwatched,
  });
  session.backings.lastMappings = lastMappings;
  const settler = new DetachSettler(kernel, lastMappings);
  session.backings.settleDetaches = () => settler.settle();
}

let isReported = false;

function reportUnwatched(errno: number): void {
  if (isReported) return;
  isReported = true;
  host.log(
    `inotify failed with ${errnoName(errno)}: segments that stay mapped count as detached at their last close; ` +
      'raise fs.inotify.max_user_instances and fs.inotify.max_user_watches, and mount again',
  );
}

const eventCount = new BigUint64Array(1);

function takeMail(): void {
  if (Atomics.load(input.flags, Flag.Mail) === 0) return;
  Atomics.store(input.flags, Flag.Mail, 0);
  libc.read(input.wakeDescriptor, eventCount, eventCount.byteLength);
  for (;;) {
    const received = receiveMessageOnPort(parentPort!) as { message: MainMessage } | undefined;
    if (received === undefined) return;
    const { message } = received;
    if (message.kind === 'mappers') mappers.answer(message.seen);
    else if (message.kind === 'sleepers') sleepers.answer(message.seen);
    else handles.answer(message.id, message.handle);
    session.settle();
  }
}

function serve(): LoopEnd {
  return runLoop(session, device, {
    spinMs: input.spinMs,
    isStopping: () => Atomics.load(input.flags, Flag.Stop) !== 0,
    takeMail,
    onReady: () => {
      const isFine = chooseBacking() && !isRingMissing();
      if (isFine) tell({ kind: 'ready' });
      return isFine;
    },
  });
}

try {
  const why = serve();
  tell({ kind: 'ended', why, kernelMinor: session.agreement.refusedMinor });
} finally {
  // Nothing may be left in tracefs.
  processEvents.close();
  if (!foreignHost.close()) tell({ kind: 'held' });
  device.close();
}

/** Whether a ring was demanded and cannot be had. */
function isRingMissing(): boolean {
  const reason = input.ioUring === 'on' ? refusal() : null;
  if (reason !== null) tell({ kind: 'refused', reason: `--io-uring on: ${reason}; or use auto` });
  return reason !== null;
}

/** Tries passthrough with a memory of its own. False when it was demanded and cannot be had. */
function chooseBacking(): boolean {
  const probe = memory.probe();
  if (typeof probe === 'number') {
    host.log(
      `passthrough could not be tried (${errnoName(probe)}): segments go through the page cache; raise the limits of files and memory, and mount again`,
    );
  }
  const isFine = session.backings.choose(typeof probe === 'number' ? -1 : probe.descriptor);
  if (typeof probe !== 'number') probe.free();
  watchMappings();
  return isFine;
}
