import { expect, test } from 'vitest';

import { assert } from '../../src/kern/assert.ts';
import { type Credentials, rootCredentials } from '../../src/kern/credentials.ts';
import { SHM_RDONLY } from '../../src/shm/flags.ts';
import { shmat } from '../../src/shm/shmat.ts';
import { SegmentState } from '../../src/shm/segment.ts';
import { ipcSet } from '../../src/shm/shmctl.ts';
import { user } from '../support/engine.ts';
import { longTest, Random, seedFromEnvironment } from '../support/random.ts';
import { ShmModel, type ModelProcess } from '../support/shm-model.ts';
import { PAGE, ShmWorld, stranger, TestProcess } from '../support/shm.ts';

const HISTORIES = 10_000;
const LONGEST_STEPS = 60;
const MOST_PROCESSES = 6;

const callers: readonly Credentials[] = [
  user,
  user,
  user,
  stranger,
  { uid: 2001, gid: 2001, pid: 601, groups: [7, user.gid] },
  { ...rootCredentials, pid: 1 },
];

interface Pair {
  readonly real: TestProcess;
  readonly model: ModelProcess;
}

/** One history: calls made of the engine and of the model, which must always agree. */
class History {
  readonly #random: Random;
  readonly #tally: Map<string, number>;
  readonly #world = new ShmWorld();
  readonly #model: ShmModel;
  readonly #processes: Pair[] = [];
  readonly #ids: number[] = [65536];
  #lastPid = 1000;

  constructor(random: Random, tally: Map<string, number>) {
    this.#random = random;
    this.#tally = tally;
    this.#model = new ShmModel(this.#world.limit('shmmaxpgs'));
    this.#resize(random.between(1, 8));
    this.#limitPages(random.between(4, 24));
    this.#start();
  }

  run(): void {
    for (let step = this.#random.between(5, LONGEST_STEPS); step > 0; step--) {
      this.#world.host.clock.advance(1000);
      this.#step();
      this.#compare();
    }
    for (const { real, model } of this.#processes) {
      this.#world.exit(real);
      this.#model.exit(model, this.#now);
    }
    this.#compare();
    for (const segment of [...this.#world.table.segments()]) this.#world.remove(segment.id, rootCredentials);
    assert(this.#world.table.usedCount === 0, 'no segment outlives its removal and its users');
    assert(this.#world.table.committedPages === 0, 'no page is left counted');
    assert(this.#world.memory.live.size === 0, 'no memory is left');
  }

  get #now(): number {
    return this.#world.host.clock.realtime().seconds;
  }

  #step(): void {
    const choice = this.#random.below(100);
    if (choice < 30) this.#get();
    else if (choice < 50) this.#attach();
    else if (choice < 62) this.#detach();
    else if (choice < 76) this.#remove();
    else if (choice < 80) this.#set();
    else if (choice < 87) this.#fork();
    else if (choice < 92) this.#exit();
    else if (choice < 97) this.#resize(this.#random.between(0, 12));
    else if (choice < 99) this.#limitPages(this.#random.between(1, 24));
    else this.#limitAttachments(this.#random.between(0, 5));
  }

  #get(): void {
    const caller = this.#random.pick(callers);
    const request = {
      key: this.#random.below(4),
      size: this.#random.pick([0, 1, PAGE, PAGE + 1, 3 * PAGE, this.#random.below(8 * PAGE), 30 * PAGE]),
      flags: this.#random.pick([0o1000, 0o1000, 0o1000, 0o3000, 0o2000, 0]) | this.#mode(),
      lingers: this.#random.oneIn(4),
    };
    const result = this.#world.get(request.key, request.size, request.flags, caller, request.lingers);
    this.#agree('get', result, this.#model.get(caller, request, this.#now));
    if (result >= 0 && !this.#ids.includes(result)) this.#ids.push(result);
  }

  #attach(): void {
    const { real, model } = this.#random.pick(this.#processes);
    const id = this.#id();
    const isReadOnly = this.#random.oneIn(2);
    const expected = this.#model.attachError(model, id, isReadOnly);
    const flags = isReadOnly ? SHM_RDONLY : 0;
    const result = this.#world.now(shmat(this.#world.shm, real, id, { flags }));
    if (expected !== null) {
      this.#agree('attach', result, expected);
      return;
    }
    this.#agree('attach', Math.min(result, 0), 0);
    this.#model.attached(model, id, result, this.#now);
  }

  #detach(): void {
    const { real, model } = this.#random.pick(this.#processes);
    const address = this.#random.pick([...real.addresses, ...real.addresses, 0x1000_0000, 0]);
    this.#agree('detach', this.#world.detach(real, address), this.#model.detach(model, address, this.#now));
  }

  #remove(): void {
    const caller = this.#random.pick(callers);
    const id = this.#id();
    this.#agree('remove', this.#world.remove(id, caller), this.#model.remove(caller, id));
  }

  #set(): void {
    const caller = this.#random.pick(callers);
    const id = this.#id();
    const { uid, gid } = this.#random.pick(callers);
    const mode = this.#mode();
    const result = ipcSet(this.#world.shm, caller, id, { ownerUid: uid, ownerGid: gid, mode });
    this.#agree('set', result, this.#model.set(caller, id, { uid, gid, mode }, this.#now));
  }

  #fork(): void {
    if (this.#processes.length >= MOST_PROCESSES) {
      this.#exit();
      return;
    }
    const parent = this.#random.pick(this.#processes);
    const real = this.#world.fork(parent.real, ++this.#lastPid);
    this.#processes.push({ real, model: this.#model.fork(parent.model, real.credentials) });
    this.#count('fork');
  }

  /** exit, or exec: then the process goes on. */
  #exit(): void {
    const pair = this.#random.pick(this.#processes);
    this.#world.exit(pair.real);
    this.#model.exit(pair.model, this.#now);
    this.#count('exit');
    if (this.#random.oneIn(2)) return;
    this.#model.processes.delete(pair.model);
    this.#processes.splice(this.#processes.indexOf(pair), 1);
    this.#start();
  }

  #start(): void {
    const credentials = { ...this.#random.pick(callers), pid: ++this.#lastPid };
    const model: ModelProcess = { credentials, attachments: [] };
    this.#model.processes.add(model);
    this.#processes.push({ real: new TestProcess(credentials), model });
  }

  #resize(count: number): void {
    this.#agree('resize', this.#world.resize(count), this.#model.resize(count));
  }

  #limitPages(count: number): void {
    this.#agree('pages', this.#world.setLimit('shmmaxpgs', count), 0);
    this.#model.pageLimit = count;
  }

  #limitAttachments(count: number): void {
    this.#agree('shmseg', this.#world.setLimit('shmseg', count), 0);
    this.#model.attachLimit = count;
  }

  #mode(): number {
    return this.#random.pick([
      0o600,
      0o600,
      0o666,
      0o644,
      0o060,
      0o006,
      this.#random.below(0o10000) & ~0o3000,
    ]);
  }

  /** Mostly one that has existed. */
  #id(): number {
    if (this.#random.oneIn(8)) return this.#random.below(8) * 65536 + this.#random.below(10);
    const recent = Math.max(0, this.#ids.length - 6);
    return this.#ids[this.#random.between(recent, this.#ids.length - 1)]!;
  }

  #agree(call: string, result: number, expected: number): void {
    assert(result === expected, `${call}: ${result} where the model has ${expected}`);
    this.#count(`${call} ${Math.min(result, 0)}`);
  }

  #count(event: string): void {
    this.#tally.set(event, (this.#tally.get(event) ?? 0) + 1);
  }

  #compare(): void {
    this.#world.check();
    const real = [...this.#world.table.segments()].map((segment) => ({
      id: segment.id,
      key: segment.key,
      size: segment.sizeBytes,
      mode: segment.permissions.mode,
      uid: segment.permissions.ownerUid,
      gid: segment.permissions.ownerGid,
      cuid: segment.permissions.creatorUid,
      cgid: segment.permissions.creatorGid,
      cpid: segment.creatorPid,
      lingers: segment.lingers,
      lpid: segment.lastPid,
      removed: segment.state === SegmentState.Removed,
      atime: segment.attachTime.seconds,
      dtime: segment.detachTime.seconds,
      ctime: segment.changeTime.seconds,
      count: segment.attachCount,
    }));
    const model = this.#model.slots
      .filter((segment) => segment !== null)
      .map((segment) => ({ ...segment, count: this.#model.attachCount(segment) }));
    assert(
      JSON.stringify(real) === JSON.stringify(model),
      `the table is the model's: ${JSON.stringify(real)} ${JSON.stringify(model)}`,
    );
    assert(this.#world.table.usedCount === this.#model.used, 'as many segments as the model has');
    assert(this.#world.table.committedPages === this.#model.committed, 'as many pages as the model has');
    assert(this.#world.table.slotCount === this.#model.slots.length, 'as many slots as the model has');
    for (const { real, model } of this.#processes) {
      const addresses = model.attachments.map(({ address }) => address);
      assert(real.addresses.join() === addresses.join(), 'a process has the attachments of the model');
    }
  }
}

test(
  'S1-S3, S5-S15, S22-S27, S31-S35, S45-S48, S54-S57, S63-S69, S72-S74, S80, S86-S90: random histories',
  longTest,
  () => {
    const seed = seedFromEnvironment();
    console.log(`${HISTORIES} histories with IPCFS_SEED=${seed}`);
    const random = new Random(seed);
    const tally = new Map<string, number>();
    for (let number = 0; number < HISTORIES; number++) {
      try {
        new History(random, tally).run();
      } catch (cause) {
        throw new Error(`IPCFS_SEED=${seed}, history ${number}: ${String(cause)}`, { cause });
      }
    }
    // Every outcome that a history can have has been seen, and often.
    const outcomes = [
      ['get', 0, -2, -12, -13, -17, -22, -28],
      ['attach', 0, -13, -22, -24],
      ['detach', 0, -22],
      ['remove', 0, -1, -22],
      ['set', 0, -1, -22],
      ['resize', 0, -16, -22],
    ] as const;
    for (const [call, ...results] of outcomes) {
      for (const result of results)
        expect([call, result, (tally.get(`${call} ${result}`) ?? 0) > 100]).toEqual([call, result, true]);
    }
  },
);
