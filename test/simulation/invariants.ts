import { assert } from '../../src/kern/assert.ts';
import { EV_ONESHOT, EVFILT_READ, EVFILT_TIMER } from '../../src/kern/klist.ts';
import type { WaitChannel } from '../../src/kern/operation.ts';
import type { Fifo } from '../../src/pipe/fifo.ts';
import type { PipeEnd } from '../../src/pipe/end.ts';
import { EV_CLEAR, EV_DISPATCH } from '../../src/kqueue/kevent.ts';
import type { Kqueue } from '../../src/kqueue/kqueue.ts';
import { type Segment, SegmentState } from '../../src/shm/segment.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import type { BlockedCall } from '../../src/vfs/waits.ts';
import type { World } from './world.ts';

/**
 * An event wakes one collector. One that holds on, because nobody has taken away its cause, stays pending after its delivery without
 * waking another.
 */
function checkCollector(kqueue: Kqueue): void {
  for (const knote of kqueue.knotes()) {
    const isOnce = (knote.flags & (EV_CLEAR | EV_DISPATCH | EV_ONESHOT)) !== 0;
    assert(!knote.isQueued || !isOnce, 'nobody waits for events that are pending');
  }
}

/** Whether what a call sleeps for has indeed not come: otherwise its wake-up has been lost. */
function checkSleeper(world: World, { thread }: BlockedCall): void {
  const { message } = thread.options!;
  const channel: WaitChannel = thread.channel!;
  world.kernel.count(`wait ${message}`);
  switch (message) {
    case 'piperd':
      assert((channel.owner as PipeEnd).queuedBytes === 0, 'nobody waits for bytes that are there');
      break;
    case 'pipewr':
    case 'pipdwc':
    case 'pipdww':
    case 'pipdwt':
    case 'pipbww': {
      const end = channel.owner as PipeEnd;
      assert(end.queuedBytes > 0, 'nobody waits for room in an empty pipe');
      assert(!end.endOfFile, 'nobody waits for room that no reader will make');
      break;
    }
    case 'fifoor':
      assert((channel.owner as Fifo).writers === 0, 'no reader waits for a writer who is there');
      break;
    case 'fifoow':
      assert((channel.owner as Fifo).readers === 0, 'no writer waits for a reader who is there');
      break;
    case 'kqread':
      checkCollector(channel.owner as Kqueue);
      break;
    case 'shmwait':
      assert(
        (channel.owner as Segment).state === SegmentState.Creating,
        'nobody waits for the end of a creation that has ended',
      );
      break;
  }
}

/** Every request is answered, or its operation sleeps, for a reason. */
function checkRequests(world: World): void {
  const { session, kernel } = world;
  const { scheduler } = world.fileSystem.kernel;
  assert(world.host.complaints.length === 0, world.host.complaints.join('\n'));
  assert(scheduler.runnableCount === 0, 'what can go on has gone on');
  let sleepers = 0;
  for (const call of world.fileSystem.blockedCalls()) {
    sleepers++;
    checkSleeper(world, call);
  }
  assert(sleepers === session.inFlightCount, 'a request in progress sleeps');
  assert(sleepers === kernel.pending.size, 'the requests that are not answered are those that sleep');
  assert(scheduler.sleepingCount >= sleepers, 'every sleeper is counted');
}

/** The sleeper behind each interrupted request cannot be interrupted. */
function checkInterrupts(world: World): void {
  let interrupted = 0;
  for (const pending of world.kernel.pending.values()) if (pending.isInterrupted) interrupted++;
  if (interrupted === 0) return;
  let uninterruptible = 0;
  for (const { thread } of world.fileSystem.blockedCalls()) {
    if (thread.interrupted) {
      assert(!thread.options!.interruptible, 'an interrupt ends a sleep that it can end');
      uninterruptible++;
    }
  }
  assert(uninterruptible === interrupted, 'every interrupt has reached its request');
}

function checkTables(world: World): void {
  const { kernel, session, fileSystem } = world;
  assert(session.nodes.size === kernel.nodes.size + 1, 'nodes are known on both sides');
  for (const { nodeid, lookups } of kernel.nodes.values()) {
    assert(session.nodes.get(nodeid)?.lookups === lookups, 'lookups are counted alike on both sides');
  }
  let opening = 0;
  for (const file of fileSystem.openFiles.all()) {
    if (!file.isOpen) opening++;
    assert(file.sleepers >= 0, 'calls leave a file once');
  }
  let releasing = 0;
  for (const { call } of kernel.pending.values()) if (call.opcode === Opcode.RELEASE) releasing++;
  const held = kernel.files.size + opening;
  assert(fileSystem.openFiles.size >= held, 'every open file has a handle');
  // A file whose release is queued is still there; one whose release sleeps is not.
  assert(fileSystem.openFiles.size <= held + kernel.queue.length + releasing, 'no handle is left over');
}

function checkPipes(world: World): void {
  let bookedBytes = 0;
  for (const pair of world.pairs) {
    for (const end of pair.ends) {
      end.checkInvariants();
      bookedBytes += end.ring.size;
      if (end.ring.size > 0) world.streams.get(end)!.check();
    }
  }
  assert(bookedBytes === world.fileSystem.pipes.budget.usedBytes, 'the budget is the sum of the rings');
}

function checkKqueues({ fileSystem }: World): void {
  let timers = 0;
  for (const kqueue of fileSystem.kqueues.kqueues) {
    kqueue.checkInvariants();
    for (const knote of kqueue.knotes()) {
      if (knote.filter === EVFILT_TIMER) timers++;
      if (knote.filter !== EVFILT_READ || knote.isQueued || knote.isDisabled) continue;
      if ((knote.flags & (EV_CLEAR | EV_DISPATCH)) !== 0) continue;
      assert(!knote.filterOps!.event(knote, 0), 'what can be read is pending');
    }
  }
  assert(timers === fileSystem.kqueues.calloutCount, 'every timer is counted');
}

function checkPolls({ kernel, fileSystem }: World): void {
  for (const file of kernel.files.values()) {
    if (file.polledEvents === 0) continue;
    const open = fileSystem.openFiles.get(file.handle)!;
    const ready = open.ops.poll(open, file.polledEvents, null, file.polledBy!);
    assert(ready === 0, 'who polls is told when something has come');
  }
}

function checkSegments({ fileSystem, memory }: World): void {
  fileSystem.shm.checkInvariants();
  let backed = 0;
  for (const segment of fileSystem.shm.table.segments()) {
    if (segment.backing !== null || segment.state === SegmentState.Creating) backed++;
  }
  // A segment in creation by the control file has no memory yet.
  assert(memory.liveCount <= backed, 'memory that no segment has is given back');
}

/** Everything that holds between any two requests. */
export function checkInvariants(world: World): void {
  if (world.failure !== null) throw world.failure;
  checkRequests(world);
  checkInterrupts(world);
  checkTables(world);
  checkPipes(world);
  checkKqueues(world);
  checkPolls(world);
  checkSegments(world);
}

/** What holds when everything is closed, forgotten and removed: the server is as it was at the start. */
export function checkEmpty(world: World): void {
  const { fileSystem, session, kernel, memory, device } = world;
  const { scheduler, callouts } = fileSystem.kernel;
  const left = {
    requests: session.inFlightCount + kernel.pending.size,
    sleepers: scheduler.sleepingCount + scheduler.runnableCount,
    nodes: session.nodes.size - 1,
    openFiles: fileSystem.openFiles.size,
    pipeBytes: fileSystem.pipes.budget.usedBytes,
    pairs: world.pairs.size,
    kqueues: fileSystem.kqueues.kqueues.size,
    timers: fileSystem.kqueues.calloutCount,
    callouts: callouts.size,
    watchedProcesses: fileSystem.kqueues.processes.size + world.events.watchCount,
    segments: fileSystem.shm.table.usedCount,
    pages: fileSystem.shm.table.committedPages,
    attachmentMaps: 0,
    memory: memory.liveCount,
    backings: device.backings.size,
    inodes: fileSystem.context.liveInodes - world.liveInodesAtStart,
  };
  const rest = Object.entries(left).filter(([, count]) => count !== 0);
  assert(rest.length === 0, `nothing is left at the end, but: ${JSON.stringify(Object.fromEntries(rest))}`);
}
