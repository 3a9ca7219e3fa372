import type { LockWaiter } from '../../src/kern/advisory-locks.ts';
import { assert } from '../../src/kern/assert.ts';
import { EV_ONESHOT, EVFILT_READ } from '../../src/kern/klist.ts';
import type { WaitChannel } from '../../src/kern/operation.ts';
import type { Fifo } from '../../src/pipe/fifo.ts';
import type { PipeEnd } from '../../src/pipe/end.ts';
import { optionWords } from '../../src/pipe/pipe-options.ts';
import { EV_CLEAR, EV_DISPATCH } from '../../src/kqueue/kevent.ts';
import type { Kqueue } from '../../src/kqueue/kqueue.ts';
import { type Segment, SegmentState } from '../../src/shm/segment.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import type { Fault } from '../../src/tree/faults/fault.ts';
import type { BlockedCall } from '../../src/vfs/transport.ts';
import type { OpenFile } from '../../src/vfs/open-file.ts';
import { checkFileSystem } from '../support/tree-checks.ts';
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

/** Whether any reader may take any queued byte, and makes room with it. */
function isForAnybody({ discipline, pair }: PipeEnd): boolean {
  if (discipline === null) return true;
  const { framing, fanout, jobserver } = pair.fifo!.options;
  return framing === 'bytes' && !fanout && !jobserver;
}

/** Whether what a call sleeps for has indeed not come: otherwise its wake-up has been lost. */
function checkSleeper(world: World, { thread }: BlockedCall): void {
  const { message } = thread.options!;
  const channel: WaitChannel = thread.channel!;
  world.kernel.count(`wait ${message}`);
  switch (message) {
    case 'piperd': {
      const end = channel.owner as PipeEnd;
      assert(!isForAnybody(end) || end.queuedBytes === 0, 'nobody waits for bytes that are there');
      break;
    }
    case 'pipewr':
    case 'pipdwc':
    case 'pipdww':
    case 'pipdwt':
    case 'pipbww': {
      const end = channel.owner as PipeEnd;
      assert(!isForAnybody(end) || end.queuedBytes > 0, 'nobody waits for room in an empty pipe');
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
    case 'lockf': {
      const { table, request } = channel.owner as LockWaiter;
      assert(table.conflictOf(request) !== null, 'nobody waits for a lock that is free');
      break;
    }
    case 'fault':
      assert(!(channel.owner as Fault).isRemoved, 'nobody waits for a fault that is removed');
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
  for (const call of world.session.blockedCalls()) {
    sleepers++;
    checkSleeper(world, call);
  }
  assert(sleepers === session.requests.size, 'a request in progress sleeps');
  assert(sleepers === kernel.pending.size, 'the requests that are not answered are those that sleep');
  assert(scheduler.sleepingCount >= sleepers, 'every sleeper is counted');
}

/** The sleeper behind each interrupted request cannot be interrupted. */
function checkInterrupts(world: World): void {
  let interrupted = 0;
  for (const pending of world.kernel.pending.values()) if (pending.isInterrupted) interrupted++;
  if (interrupted === 0) return;
  let uninterruptible = 0;
  for (const { thread } of world.session.blockedCalls()) {
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
    if (session.handles.get(file.handle) === undefined) opening++;
  }
  let releasing = 0;
  for (const { call } of kernel.pending.values()) if (call.opcode === Opcode.RELEASE) releasing++;
  const held = kernel.files.size + opening;
  assert(fileSystem.openFiles.size >= held, 'every open file has a handle');
  // A file whose release is queued is still there; one whose release sleeps is not.
  assert(fileSystem.openFiles.size <= held + kernel.queue.length + releasing, 'no handle is left over');
}

function checkPipes(world: World): void {
  for (const pair of world.pairs) {
    for (const end of pair.ends) {
      if (end.ring.size > 0) world.streams.get(end)!.check();
      if (end.discipline === null) continue;
      for (const word of optionWords(pair.fifo!.options)) world.kernel.count(`option ${word.split('=')[0]!}`);
    }
  }
  if (world.fileSystem.pipes.drops.bytes > 0) world.kernel.count('bytes dropped');
  assert(world.pairs.size === world.fileSystem.pipes.pairs.size, 'a policy is told of every pair');
}

function checkKqueues({ fileSystem }: World): void {
  for (const kqueue of fileSystem.kqueues.kqueues) {
    for (const knote of kqueue.knotes()) {
      if (knote.filter !== EVFILT_READ || knote.isQueued || knote.isDisabled) continue;
      if ((knote.flags & (EV_CLEAR | EV_DISPATCH)) !== 0) continue;
      assert(!knote.filterOps!.event(knote, 0), 'what can be read is pending');
    }
  }
}

function checkPolls({ kernel, fileSystem, events }: World): void {
  // The question itself would make an event of what a process has just done.
  if (events.isUntold) return;
  // A stall holds back what is ready; its removal does not.
  if ([...fileSystem.faults.all()].some(({ spec }) => spec.action.kind === 'stall')) return;
  for (const file of kernel.files.values()) {
    if (file.polledEvents === 0) continue;
    const open = fileSystem.openFiles.get(file.handle)!;
    const ready = open.ops.poll(open, file.polledEvents, null, file.polledBy!);
    assert(ready === 0, 'who polls is told when something has come');
  }
}

function checkLocks({ fileSystem }: World): void {
  const { locks } = fileSystem.context;
  for (const table of locks.tables) {
    table.checkInvariants();
    for (const { file } of table.holders.values()) {
      assert(fileSystem.openFiles.get((file as OpenFile).handle) === file, 'locks end at a close');
    }
  }
}

function checkSegments({ fileSystem, memory }: World): void {
  let backed = 0;
  for (const segment of fileSystem.shm.table.segments()) {
    if (segment.backing !== null || segment.state === SegmentState.Creating) backed++;
  }
  // A segment in creation by the control file has no memory yet.
  assert(memory.liveCount <= backed, 'memory that no segment has is given back');
}

/** The long walks come after every so many messages: what they find wrong stays wrong. */
const WHOLE_EVERY = 4;

/** Does what is left for the next slices, and has the kernel take the answers. */
export function finishBacklog({ session, fileSystem, served }: World): void {
  while (fileSystem.kernel.scheduler.backlogCount > 0) session.settleBacklog();
  served.flush();
}

/** Everything that holds between any two requests; `turn` counts them. */
export function checkInvariants(world: World, turn: number): void {
  if (world.failure !== null) throw world.failure;
  finishBacklog(world);
  checkRequests(world);
  checkInterrupts(world);
  checkTables(world);
  checkPipes(world);
  checkKqueues(world);
  checkPolls(world);
  checkSegments(world);
  checkLocks(world);
  if (turn % WHOLE_EVERY === 0) checkWhole(world);
}

/** The structure of everything, and what every user is charged for: long walks. */
export function checkWhole({ session, fileSystem, ring }: World): void {
  session.checkInvariants();
  ring?.checkInvariants();
  checkFileSystem(fileSystem, session.requests.all());
}

/** What holds when everything is closed, forgotten and removed: the server is as it was at the start. */
export function checkEmpty(world: World): void {
  const { fileSystem, session, kernel, memory, device } = world;
  const { scheduler, callouts } = fileSystem.kernel;
  const left = {
    requests: session.requests.size + kernel.pending.size,
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
    attachmentMaps: fileSystem.shm.maps.size,
    segmentProcesses: fileSystem.segmentFiles.processCount,
    memory: memory.liveCount,
    backings: device.backings.size,
    faults: [...fileSystem.faults.all()].length,
    locks: fileSystem.context.locks.tables.size + fileSystem.context.locks.waiters.size,
    inodes: fileSystem.context.liveInodes - world.liveInodesAtStart,
  };
  const rest = Object.entries(left).filter(([, count]) => count !== 0);
  assert(rest.length === 0, `nothing is left at the end, but: ${JSON.stringify(Object.fromEntries(rest))}`);
}
