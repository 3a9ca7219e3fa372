import { findSleepers } from '../../src/host/linux/sleepers/sleepers.ts';
import type { FileSeen, Listed, ProcessView } from '../../src/host/linux/sleepers/process-view.ts';
import { assert } from '../../src/kern/assert.ts';
import type { Sleeper } from '../../src/kern/sleeper.ts';
import type { Random } from '../support/random.ts';

const DEVICE_MINOR = 77;
/** What may be asked for at most in one look: some ten answers for each descriptor and thread of the processes below. */
const MOST_ANSWERS = 200_000;
/** More than a look goes through. */
const TOO_MANY = 5000;

const calls = [
  '7 0x1000 0x2 0xffffffff 0x0 0x0 0x0 0x7ffc00000000 0x7f0000000000\n',
  '270 0x8 0x1000 0x0 0x0 0x0 0x0 0x7ffc00000000 0x7f0000000000\n',
  '232 0x4 0x1000 0x10 0xffffffff 0x0 0x0 0x7ffc00000000 0x7f0000000000\n',
  '7 0xffffffffffffffff 0xffffffffffffffff 0xffffffff 0x0 0x0 0x0 0x7ffc00000000 0x7f0000000000\n',
  '270 0x7fffffff 0x1 0x1 0x1 0x0 0x0 0x7ffc00000000 0x7f0000000000\n',
  '202 0x1 0x189 0x0 0x0 0x0 0x0 0x7ffc00000000 0x7f0000000000\n',
  '-1 0x0 0x0\n',
  'running\n',
  '',
  '7 0x\n',
  '\0\xff 1 2 3',
  '7'.repeat(60_000),
] as const;

const infos = [
  'tfd:        3 events:       19 data:                3  pos:0 ino:5 sdev:4d\n',
  'tfd: 99999999999999999999 events: ffffffffffffffff data: 0  pos:0 ino:ffffffffffffffffffff sdev:ffffffff\n',
  'tfd: -1\n',
  'tfd:        3 events:       19 data:                3  pos:0 ino:5 sdev:4d\n'.repeat(1100),
  '\0'.repeat(1000),
  '',
] as const;

const statuses = [
  'State:\tS (sleeping)\nSigCgt:\t0000000000000000\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t1\n',
  'State:\tR (running)\n',
  'State:\tS\nvoluntary_ctxt_switches:\t-1\nnonvoluntary_ctxt_switches:\t1\n',
  'State:\tS (sleeping)\nSigCgt:\tzz\nvoluntary_ctxt_switches:\t99999999999999999999999\nnonvoluntary_ctxt_switches:\t1\n',
  '',
] as const;

/** Processes that answer as they like, each question anew. */
class HostileProcesses implements ProcessView {
  readonly #random: Random;
  readonly #uids: ReadonlyMap<number, number>;
  readonly #inodes: readonly number[];
  answerCount = 0;

  constructor(random: Random, uids: ReadonlyMap<number, number>, inodes: readonly number[]) {
    this.#random = random;
    this.#uids = uids;
    this.#inodes = inodes;
  }

  #pick<T>(answers: readonly T[]): T | null {
    this.answerCount++;
    return this.#random.oneIn(12) ? null : this.#random.pick(answers);
  }

  #list(most: number): Listed | null {
    this.answerCount++;
    if (this.#random.oneIn(12)) return null;
    const count = this.#random.oneIn(30) ? TOO_MANY : this.#random.below(6);
    const numbers = Array.from({ length: Math.min(count, most) }, (_, index) => index + 1);
    return { numbers, isWhole: count <= most };
  }

  pids(): number[] {
    return [...this.#uids.keys()];
  }

  uidOf(pid: number): number | null {
    return this.#random.oneIn(12) ? null : this.#uids.get(pid)!;
  }

  descriptors(_pid: number, most: number): Listed | null {
    return this.#list(most);
  }

  threads(_pid: number, most: number): Listed | null {
    return this.#list(most);
  }

  file(): FileSeen | null {
    const inode = this.#random.oneIn(3) ? 5 : this.#random.pick([...this.#inodes, 2 ** 60]);
    const deviceMinor = this.#random.oneIn(2) ? DEVICE_MINOR : 15;
    return this.#pick<FileSeen>([
      { deviceMajor: 0, deviceMinor, inode, type: 'other' },
      { deviceMajor: 0, deviceMinor, inode, type: 'pipe' },
      { deviceMajor: 8, deviceMinor, inode, type: 'anonymous' },
    ]);
  }

  access(): { isReadable: boolean; isWritable: boolean } | null {
    return this.#pick([
      { isReadable: true, isWritable: false },
      { isReadable: true, isWritable: true },
      { isReadable: false, isWritable: true },
      { isReadable: false, isWritable: false },
    ]);
  }

  link(): string | null {
    return this.#pick(['anon_inode:[eventpoll]', 'anon_inode:[eventfd]', 'pipe:[5]', '\n', '/'.repeat(4096)]);
  }

  info(): string | null {
    return this.#pick(infos);
  }

  threadText(_pid: number, _thread: number, file: string): string | null {
    if (file === 'status') return this.#random.oneIn(4) ? this.#pick(statuses) : statuses[0];
    if (file === 'syscall') return this.#pick(calls);
    return this.#pick([
      '',
      '0',
      'ep_poll',
      'poll_schedule_timeout',
      'futex_do_wait',
      '\0'.repeat(5000),
      '12 13 ',
    ]);
  }

  hasTimers(): boolean {
    return this.#random.oneIn(4);
  }

  command(): string | null {
    return this.#pick(['x', '', '\u001b[2J\n', 'x'.repeat(15)]);
  }

  memory(_pid: number, _address: bigint, sizeBytes: number): Buffer | null {
    assert(sizeBytes > 0 && sizeBytes <= 8192, 'no more memory is read than a call can need');
    const bytes = Buffer.alloc(this.#random.oneIn(6) ? this.#random.below(sizeBytes) : sizeBytes);
    for (let at = 0; at < bytes.length; at++) bytes[at] = this.#random.oneIn(3) ? this.#random.below(256) : 0;
    return this.#pick([bytes]);
  }

  isSameFile(): boolean | null {
    return this.#pick([true, false]);
  }
}

/** A look at processes of these users, which have files of the mount open, or say so. Fails when it takes too much from them. */
export function lookAtHostileSleepers(
  random: Random,
  uids: ReadonlyMap<number, number>,
  inodes: readonly number[],
): Sleeper[] {
  const view = new HostileProcesses(random, uids, inodes);
  const sleepers = findSleepers(
    { deviceMinor: DEVICE_MINOR, blocked: [] },
    { view, architecture: 'x64', nowMs: () => 0 },
  );
  assert(view.answerCount <= MOST_ANSWERS, 'a look asks a bounded number of questions');
  for (const { process, uid, watches, held, sleepCount } of sleepers) {
    assert(uids.get(process) === uid, 'a row is of a process that exists');
    assert(watches.length <= 256 && held.length <= 4096, 'a process has a bounded number of rows');
    assert(Number.isFinite(sleepCount), 'a sleep has a number');
  }
  return sleepers;
}
