import { assert } from '../../src/kern/assert.ts';
import { EAGAIN, ECONNABORTED, EIO, ENODEV } from '../../src/kern/errno.ts';
import { runLoop } from '../../src/transports/raw/loop.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import type { Directory, DirectoryEntry } from '../../src/vfs/directory.ts';
import { S_IFDIR } from '../../src/vfs/node.ts';
import { Random } from '../support/random.ts';
import { checkEmpty, checkInvariants, checkWhole, finishBacklog } from './invariants.ts';
import type { Call, Caller, KernelNode } from './kernel.ts';
import type { SimulatedThread } from './processes.ts';
import { interruptSomebody, steps as stepTable, type Step, stepKinds } from './steps.ts';
import { harmlessErrors, initCall, World } from './world.ts';

const administrator: Caller = { uid: 0, gid: 0, pid: 1 };
const MAX_ROUNDS = 10_000;
const LOOK_MS = 0.05;

/** How a simulated mount ends, by its seed. */
const endings = ['tidy', 'tidy', 'tidy', 'unmounted', 'aborted', 'failed', 'stopped'] as const;

export interface SimulationOptions {
  readonly seed: number;
  readonly steps: readonly Step[];
  readonly tally?: Map<string, number>;
  readonly trace?: ((line: string) => void) | null;
}

/** The steps of a seed. */
export function stepsOf(seed: number, count: number): Step[] {
  const random = new Random(Math.imul(seed, 0x9e3779b1));
  return Array.from({ length: count }, () => ({
    kind: stepTable[random.below(stepTable.length)]!,
    seed: random.below(2 ** 32),
  }));
}

/**
 * Serves what simulated processes do in these steps, from INIT to the end of the connection, and checks after each message what
 * must hold. The same seed and steps are the same run.
 */
export function simulate({ seed, steps, tally = new Map(), trace = null }: SimulationOptions): void {
  const world = new World({ seed, tally, trace });
  const { kernel, device, session, fileSystem } = world;
  const ending = endings[new Random(seed ^ 0x5bd1).below(endings.length)]!;
  let isStopping = false;
  const driver = drive(world, steps, ending);
  device.next = () => {
    // Looking for requests takes time, which the loop counts on.
    world.host.clock.nowMs += LOOK_MS;
    const step = driver.next();
    if (step.done !== true) return step.value;
    switch (ending) {
      case 'stopped':
        isStopping = true;
        return -EAGAIN;
      case 'failed':
        kernel.isGone = true;
        return -EIO;
      case 'aborted':
        kernel.isGone = true;
        return -ECONNABORTED;
      default:
        kernel.isGone = true;
        return -ENODEV;
    }
  };
  let end: string;
  try {
    end = runLoop(session, world.served, {
      spinMs: 0,
      isStopping: () => isStopping,
      takeMail: () => {
        for (const seen of world.mail.splice(0)) {
          world.mappers.answer(seen);
          session.settle();
        }
        for (const seen of world.sleeperMail.splice(0)) {
          world.sleepers.answer(seen);
          session.settle();
        }
      },
      onReady: () => session.backings.choose(77),
    });
  } catch (error) {
    if (ending !== 'failed' || !String(error).includes('reading /dev/fuse')) throw error;
    end = 'failed';
  }
  world.served.flush();
  kernel.count(`ended ${ending}`);
  assert(
    end === (ending === 'tidy' || ending === 'aborted' ? 'unmounted' : ending),
    `the loop ends as the connection does, not ${end}`,
  );
  if (world.failure !== null) throw world.failure;
  // What could not be interrupted is the host's to end.
  world.memory.proceed();
  session.settle();
  finishBacklog(world);
  assert(
    kernel.pending.size === 0 && session.requests.size === 0,
    'every request is answered before the end',
  );
  assert(world.host.complaints.length === 0, world.host.complaints.join('\n'));
  assert(fileSystem.kernel.scheduler.runnableCount === 0, 'nothing is left to run');
  checkWhole(world);
}

/** What the device says, message by message: lengths of requests, and negative errnos. */
function* drive(world: World, steps: readonly Step[], ending: string): Generator<number, void, void> {
  yield* boot(world);
  for (const [index, step] of steps.entries()) {
    world.random.restart(step.seed);
    world.host.clock.nowMs += world.random.below(3);
    world.kernel.trace?.(`step ${index} ${step.kind}`);
    yield take(world, step);
    checkInvariants(world, index);
  }
  checkWhole(world);
  if (ending !== 'tidy') return;
  yield* tidyUp(world);
  checkWhole(world);
  checkEmpty(world);
}

/** One step of a process, of the kernel, of the machine, or a fault. */
function take(world: World, step: Step): number {
  const { kernel, random } = world;
  if (kernel.queue.length > 0 && !random.oneIn(3)) return kernel.queue.shift()!();
  const environment = stepKinds.environment[step.kind];
  if (environment !== undefined) {
    kernel.count(`step ${step.kind}`);
    const length = environment(world);
    return length === 0 ? random.pick(harmlessErrors) : length;
  }
  const threads: SimulatedThread[] = [];
  for (const process of world.table.processes) {
    if (process.isExiting) continue;
    for (const thread of process.threads) if (!thread.isBlocked) threads.push(thread);
  }
  if (threads.length === 0) return interruptSomebody(world) || random.pick(harmlessErrors);
  const thread = random.pick(threads);
  if (thread.next !== null) return thread.issue(kernel) || random.pick(harmlessErrors);
  const program = stepKinds.programs[step.kind]!({ world, thread, random });
  return thread.start(kernel, program) ? thread.issue(kernel) : random.pick(harmlessErrors);
}

/** A call of the administrator's that is answered at once; its length goes to the device. */
function* ask(
  world: World,
  call: Call,
  answered: (answer: { error: number; view: DataView }) => void,
): Generator<number, void, void> {
  let isAnswered = false;
  yield world.kernel.issue(call, administrator, (answer) => {
    isAnswered = true;
    answered(answer);
  });
  assert(isAnswered, 'what never waits is answered at once');
}

function* find(world: World, parent: KernelNode, name: string): Generator<number, KernelNode, void> {
  let node: KernelNode | null = null;
  const call = { opcode: Opcode.LOOKUP, nodeid: parent.nodeid, body: (writer: Writer) => writer.name(name) };
  yield* ask(world, call, ({ error, view }) => {
    assert(error === 0, `${name} is there`);
    node = world.kernel.learn(view.getUint32(0, true), view.getUint32(100, true), 0);
  });
  return node!;
}

interface Writer {
  name(text: string): unknown;
}

/** INIT, and lookups of the directories, which stay known. */
function* boot(world: World): Generator<number, void, void> {
  const { directories } = world;
  yield* ask(world, initCall(45), ({ error }) => {
    assert(error === 0, 'INIT succeeds');
  });
  directories.pipes = yield* find(world, directories.root, 'pipes');
  directories.pairs = yield* find(world, directories.root, 'pairs');
  directories.kqueues = yield* find(world, directories.root, 'kqueues');
  directories.shm = yield* find(world, directories.root, 'shm');
  directories.info = yield* find(world, directories.root, 'info');
  const sysctl = yield* find(world, directories.root, 'sysctl');
  directories.tunables = yield* find(world, yield* find(world, sysctl, 'kern'), 'ipc');
  const made = {
    opcode: Opcode.MKDIR,
    nodeid: directories.pipes.nodeid,
    body: (writer: { u32(value: number): unknown } & Writer) => {
      writer.u32(0o755);
      writer.u32(0);
      writer.name('sub');
    },
  };
  yield* ask(world, made, ({ error, view }) => {
    assert(error === 0, 'pipes/sub is made');
    directories.nested = world.kernel.learn(view.getUint32(0, true), view.getUint32(100, true), 0);
  });
}

/** Every process ends, every name is removed, every node forgotten, until nothing is left to do. */
function* tidyUp(world: World): Generator<number, void, void> {
  const { kernel, fileSystem, memory, host } = world;
  memory.failures = 0;
  host.memoryFailures = 0;
  kernel.refusals = 0;
  host.isSlow = false;
  for (const fault of [...fileSystem.faults.all()]) fileSystem.faults.remove(fault);
  world.session.settle();
  for (let round = 0; ; round++) {
    assert(round < MAX_ROUNDS, 'the tidying comes to an end');
    world.random.restart(round);
    memory.proceed();
    world.session.settle();
    if (world.mapperQuestions > 0) {
      world.mapperQuestions = 0;
      world.mail.push(null);
    }
    if (world.sleeperQuestions > 0) {
      world.sleeperQuestions = 0;
      world.sleeperMail.push(null);
    }
    const isBusy = world.table.processes.some(
      ({ threads, descriptors }) => descriptors.length > 0 || threads.some(({ program }) => program !== null),
    );
    if (isBusy) for (const process of [...world.table.processes]) world.exit(process);
    const next = kernel.queue.shift();
    if (next !== undefined) yield next();
    else if (!isBusy && [...kernel.pending.values()].every(isRelease)) break;
    else yield -EAGAIN;
    checkInvariants(world, round);
  }
  const { pipes, pairs, kqueues, shm } = world.directories;
  for (const directory of [pipes, kqueues, shm]) yield* empty(world, directory);
  for (const { name } of entriesOf(world, pairs)) yield* remove(world, Opcode.RMDIR, pairs, name);
  for (const segment of [...fileSystem.shm.table.segments()]) {
    yield* remove(world, Opcode.UNLINK, yield* find(world, shm, 'id'), String(segment.id));
  }
  // pipes/sub was made by the simulation itself.
  for (const node of kernel.nodes.values()) node.pins = 0;
  while (kernel.nodes.size > 0) yield kernel.forget([...kernel.nodes.values()].slice(0, 10));
  host.clock.nowMs += 10_000;
  yield -EAGAIN;
}

/** The close of a writer that has begun a line waits for room in a held pipe, until that is removed. */
function isRelease({ call }: { readonly call: Call }): boolean {
  return call.opcode === Opcode.RELEASE;
}

function* remove(
  world: World,
  opcode: number,
  { nodeid }: KernelNode,
  name: string,
): Generator<number, void, void> {
  const body = (writer: Writer): unknown => writer.name(name);
  yield* ask(world, { opcode, nodeid, body }, ({ error }) => {
    assert(error === 0, `${name} can be removed when nobody uses it, without ${error}`);
  });
}

/** Removes everything in a directory, directories in it with what is in them. */
function* empty(world: World, directory: KernelNode): Generator<number, void, void> {
  for (const { name, type } of entriesOf(world, directory)) {
    const isDirectory = type === S_IFDIR;
    if (isDirectory) yield* empty(world, yield* find(world, directory, name));
    yield* remove(world, isDirectory ? Opcode.RMDIR : Opcode.UNLINK, directory, name);
  }
}

function entriesOf(world: World, { nodeid }: KernelNode): DirectoryEntry[] {
  const directory = world.session.nodes.get(nodeid)!.node as Directory;
  return directory.list().filter(({ name }) => !/^(\.|\.\.|ctl|id)$/.test(name));
}
