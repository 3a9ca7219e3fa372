import { NO_OPTIONS } from '../../src/pipe/pipe-options.ts';
import { PipeNode } from '../../src/tree/pipes.ts';
import { walkTree } from '../../src/vfs/directory.ts';
import { lookAtHostileMaps } from './maps.ts';
import { lookAtHostileSleepers } from './sleepers.ts';
import type { Program } from './processes.ts';
import * as file from './file-programs.ts';
import * as pipe from './pipe-programs.ts';
import * as locks from './lock-programs.ts';
import { changeOptions } from './option-programs.ts';
import { controlFaults } from './fault-programs.ts';
import * as queue from './queue-programs.ts';
import type { Context } from './programs.ts';
import type { World } from './world.ts';

/** One step: what kind, and the seed of everything that it chooses. */
export interface Step {
  readonly kind: string;
  readonly seed: number;
}

const programs: Record<string, (context: Context) => Program> = {
  openPipe: pipe.openPipe,
  openPair: pipe.openPair,
  readPipe: pipe.readPipe,
  writePipe: pipe.writePipe,
  openKqueue: queue.openKqueue,
  writeKqueue: queue.writeKqueue,
  readKqueue: queue.readKqueue,
  openSegment: queue.openSegment,
  useSegment: queue.useSegment,
  controlSegments: queue.controlSegments,
  changeNames: file.changeNames,
  readDirectory: file.readDirectory,
  readTable: file.readTable,
  writeTunable: file.writeTunable,
  attributes: file.attributes,
  changeOptions,
  poll: file.poll,
  ioctl: file.ioctl,
  flock: locks.flock,
  lockRange: locks.lockRange,
  odd: file.odd,
  controlFaults,
};

/** A signal for somebody who waits; 0 when nobody does. */
export function interruptSomebody(world: World): number {
  const uniques = [...world.kernel.pending.keys()];
  return uniques.length === 0 ? 0 : world.kernel.interrupt(world.random.pick(uniques));
}

/** What happens around the processes. A message's length, or 0 when there is none. */
const environment: Record<string, (world: World) => number> = {
  interrupt: interruptSomebody,
  /** The interrupt overtakes its request, or comes after its answer. */
  strayInterrupt: (world) => world.kernel.interrupt(world.random.below(1000) * 2 + 1_000_000_000),
  close({ table, kernel, random }) {
    const process = random.pick(table.processes);
    if (process.descriptors.length === 0) return 0;
    const [file] = process.descriptors.splice(random.below(process.descriptors.length), 1);
    kernel.close(file!, process.pid);
    return 0;
  },
  /** A descriptor is passed on, or a child inherits it. */
  pass({ table, random }) {
    const from = random.pick(table.processes);
    const to = random.pick(table.processes);
    if (from === to || from.descriptors.length === 0 || to.isExiting) return 0;
    const file = random.pick(from.descriptors);
    file.references++;
    to.descriptors.push(file);
    return 0;
  },
  exit(world) {
    world.exit(world.random.pick(world.table.processes));
    return 0;
  },
  processEvent({ table, events, random }) {
    const [from, to] = [random.pick(table.processes).pid, random.pick(table.processes).pid];
    switch (random.below(3)) {
      case 0:
        events.post({ kind: 'fork', pid: from, child: to });
        break;
      case 1:
        events.post({ kind: 'exec', pid: from });
        break;
      default:
        events.post({ kind: 'signal', pid: from, signal: random.pick([10, 15]) });
    }
    return 0;
  },
  forget({ kernel, random }) {
    const nodes = [...kernel.nodes.values()];
    const first = random.below(nodes.length);
    return kernel.forget(random.oneIn(2) ? nodes.slice(first, first + 1) : nodes.slice(first, first + 8));
  },
  time({ host, random }) {
    host.clock.nowMs += random.pick([1, 10, 100, 1000, 5000, random.oneIn(20) ? 3e9 : 50]);
    return 0;
  },
  calendar({ host, random }) {
    host.clock.realtimeOffsetMs += random.pick([-1e12, 1e12, -3_600_000, 3_600_000, 1]);
    return 0;
  },
  noMemory({ memory, host, random }) {
    if (random.oneIn(2)) memory.failures += random.between(1, 2);
    else host.memoryFailures += random.between(1, 3);
    return 0;
  },
  slowMemory({ memory, random, session }) {
    if (random.oneIn(3)) memory.isSlow = true;
    else memory.proceed();
    session.settle();
    return 0;
  },
  slowHost({ host, random }) {
    host.isSlow = random.oneIn(3);
    return 0;
  },
  mappers(world) {
    if (world.mapperQuestions === 0) return 0;
    world.mapperQuestions = 0;
    const uids = new Map(world.table.processes.map(({ pid, uid }) => [pid, uid]));
    world.mail.push(world.random.oneIn(4) ? null : lookAtHostileMaps(world.random, uids));
    return 0;
  },
  sleepers(world) {
    if (world.sleeperQuestions === 0) return 0;
    world.sleeperQuestions = 0;
    const uids = new Map(world.table.processes.map(({ pid, uid }) => [pid, uid]));
    const inodes = Array.from(world.fileSystem.openFiles.all(), ({ node }) => node.inode);
    const seen = world.random.oneIn(4) ? null : lookAtHostileSleepers(world.random, uids, inodes);
    world.sleeperMail.push(seen);
    return 0;
  },
  /** Options with which every byte comes out once and in order. */
  pipeOptions({ fileSystem, random, session }) {
    const pipes = [...walkTree(fileSystem.root)].filter((node) => node instanceof PipeNode);
    if (pipes.length === 0) return 0;
    const capacityBytes = random.pick([0, 0, 4096, 8192, 100_352]);
    random
      .pick(pipes)
      .setOptions(random.oneIn(3) ? NO_OPTIONS : { ...NO_OPTIONS, hold: random.oneIn(2), capacityBytes });
    session.settle();
    return 0;
  },
  refuseAnswer({ kernel }) {
    kernel.refusals = 1;
    return 0;
  },
  refuseBacking({ device }) {
    device.refusesBacking = true;
    return 0;
  },
  refuseWatch({ events }) {
    events.refusesNext = true;
    return 0;
  },
};

export const stepKinds = { programs, environment };

const weights: Readonly<Record<string, number>> = {
  ...{
    openPipe: 14,
    openPair: 5,
    readPipe: 34,
    writePipe: 30,
    openKqueue: 3,
    writeKqueue: 12,
    readKqueue: 8,
  },
  ...{ openSegment: 6, useSegment: 8, controlSegments: 6, changeNames: 6, readDirectory: 2, readTable: 1 },
  ...{
    writeTunable: 2,
    attributes: 6,
    changeOptions: 5,
    poll: 8,
    ioctl: 3,
    flock: 6,
    lockRange: 6,
    odd: 1,
    interrupt: 8,
    strayInterrupt: 1,
    close: 10,
  },
  ...{ pass: 4, exit: 1, processEvent: 2, forget: 14, time: 5, calendar: 1, noMemory: 1, slowMemory: 2 },
  ...{ controlFaults: 5, slowHost: 1, mappers: 1, sleepers: 1, refuseAnswer: 1, refuseBacking: 1 },
  ...{ refuseWatch: 1, pipeOptions: 3 },
};

/** Every kind as often as it weighs. */
export const steps: readonly string[] = Object.entries(weights).flatMap(([kind, weight]) =>
  new Array<string>(weight).fill(kind),
);
