import { beforeEach, expect, test } from 'vitest';
import { ENOSPC } from '../../src/kern/errno.ts';
import { CalloutQueue } from '../../src/kern/callout.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import type { RangesAnswer } from '../../src/transports/common/mapper-query.ts';
import { LastMappings } from '../../src/transports/raw/segments/last-mappings.ts';
import type { Node } from '../../src/vfs/node.ts';
import { OpenFile } from '../../src/vfs/open-file.ts';
import { FakeClock } from '../support/engine.ts';

const INODE = 7;
const WATCH = 1;
const LATER_MS = 50;

/** One memory, the ends that the kernel tells, and what /proc shows when a test lets it answer. */
class Scene {
  readonly node = { inode: INODE } as Node;
  readonly clock = new FakeClock();
  readonly callouts = new CalloutQueue(this.clock);
  readonly unwatched: number[] = [];
  readonly failures: number[] = [];
  /** Files whose attachment has ended, in that order. */
  readonly ended: string[] = [];
  questions: RangesAnswer[] = [];
  watchResult = WATCH;
  /** What a lease says. */
  isUnused = false;
  sourceCount = 0;
  toldCount = 0;
  closed: () => void = () => undefined;
  readonly closings = {
    descriptor: 9,
    onLost: (): void => undefined,
    watch: (_descriptor: number, closed: () => void) => {
      this.closed = closed;
      return this.watchResult;
    },
    unwatch: (watch: number) => {
      this.unwatched.push(watch);
    },
    isUnused: (): boolean => this.isUnused,
    take: () => {
      for (; this.toldCount > 0; this.toldCount--) this.closed();
    },
  };
  readonly mappings = new LastMappings({
    closings: this.closings,
    sources: {
      add: () => {
        this.sourceCount++;
      },
      remove: () => {
        this.sourceCount--;
      },
    },
    callouts: this.callouts,
    findRanges: (answer) => this.questions.push(answer),
    onUnwatched: (errno) => this.failures.push(errno),
  });

  open(pid: number): OpenFile {
    const file = new OpenFile(this.node, 1, 0, rootCredentials);
    file.memoryDescriptor = 3;
    file.memoryOwnerPid = pid;
    this.mappings.opened(file);
    return file;
  }

  /** As a release does: the file's close says what its end is. */
  release(file: OpenFile, name: string): void {
    this.mappings.released(file);
    const finish = (): void => void this.ended.push(name);
    if (file.afterMappings === null) finish();
    else file.afterMappings(finish);
  }

  /** The kernel tells of ends, and no request waits. */
  tell(count: number): void {
    this.toldCount += count;
    while (this.mappings.lookWhenIdle());
  }

  /** /proc shows so many ranges by process; null when it cannot be read. Requests wait. */
  answer(ranges: Record<number, number> | null): void {
    const asked = this.questions;
    this.questions = [];
    const counts =
      ranges === null ? null : Object.entries(ranges).map(([pid, count]) => [Number(pid), count] as const);
    for (const answer of asked) answer(counts === null ? null : new Map([[INODE, new Map(counts)]]));
  }

  /** The same, and no request waits afterwards. */
  show(ranges: Record<number, number> | null): void {
    this.answer(ranges);
    while (this.mappings.isUnsettled && this.mappings.lookWhenIdle());
  }

  wait(ms: number): void {
    this.clock.advance(ms);
    this.callouts.runExpired();
  }
}

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});

test('a close without a mapping ends at once, without a look at /proc, and leaves no watch', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  expect(scene.ended).toEqual([]);
  scene.tell(1);
  expect([scene.ended, scene.questions.length, scene.unwatched]).toEqual([['a'], 0, []]);
  scene.release(b, 'b');
  scene.tell(1);
  expect([scene.ended, scene.unwatched, scene.sourceCount]).toEqual([['a', 'b'], [WATCH], 0]);
  expect(scene.mappings.isUnsettled).toBe(false);
});

test('between requests an end is ascribed only when no release that is to come can be meant', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  scene.toldCount = 1;
  scene.mappings.look();
  expect(scene.ended).toEqual([]);
  // It was that of b.
  scene.release(b, 'b');
  scene.tell(0);
  scene.show({ 10: 1 });
  expect(scene.ended).toEqual(['b']);
  scene.tell(1);
  expect(scene.ended).toEqual(['b', 'a']);
});

test('of one process with nobody else, which one it was makes no difference', () => {
  const files = [scene.open(10), scene.open(10)];
  scene.release(files[0]!, 'a');
  scene.toldCount = 1;
  scene.mappings.look();
  expect(scene.ended).toEqual(['a']);
});

test('a file that stays is found mapped, and then waits for its end alone', () => {
  scene.release(scene.open(10), 'a');
  scene.wait(LATER_MS);
  expect(scene.questions).toHaveLength(1);
  scene.show({ 10: 1 });
  expect([scene.ended, scene.mappings.isUnsettled]).toEqual([[], false]);
  scene.wait(LATER_MS);
  expect(scene.questions).toHaveLength(0);
  scene.tell(1);
  expect(scene.ended).toEqual(['a']);
});

test('a file whose end is never told, since the kernel could not open its memory, ends after a look at /proc', () => {
  scene.release(scene.open(10), 'a');
  scene.wait(LATER_MS);
  scene.show({});
  expect([scene.ended, scene.unwatched]).toEqual([['a'], [WATCH]]);
});

test('who has ended is seen in /proc when several could have', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  scene.release(b, 'b');
  scene.tell(1);
  scene.show({ 10: 1 });
  expect(scene.ended).toEqual(['b']);
});

test('ends that were told as one all end', () => {
  const files = [scene.open(10), scene.open(10), scene.open(10), scene.open(20)];
  for (const [index, file] of files.entries()) scene.release(file, 'abcd'[index]!);
  scene.wait(LATER_MS);
  scene.show({ 10: 3, 20: 1 });
  scene.tell(1);
  scene.show({ 20: 1 });
  expect(scene.ended).toEqual(['a', 'b', 'c']);
});

test('who is released while /proc is read does not end in the place of one that /proc has shown to have ended', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  scene.wait(LATER_MS);
  scene.show({ 10: 1, 20: 1 });
  // The ends of both are told as one, while requests come without a pause, and the release of b comes after the question.
  scene.toldCount++;
  scene.mappings.look();
  scene.wait(LATER_MS);
  expect(scene.questions.length).toBe(1);
  scene.release(b, 'b');
  scene.show({});
  expect(scene.ended).toEqual(['a']);
  scene.wait(LATER_MS);
  scene.show({});
  expect([scene.ended, scene.unwatched]).toEqual([['a', 'b'], [WATCH]]);
});

test('an end that is told while /proc is read has one more look follow, as it may be the end of two', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  scene.release(b, 'b');
  scene.wait(LATER_MS);
  scene.show({ 10: 1, 20: 1 });
  // b has ended when its process is looked at, a ends after that, and both are told as one.
  scene.closings.onLost();
  scene.tell(1);
  scene.show({ 10: 1 });
  expect(scene.ended).toEqual(['b']);
  scene.show({});
  expect([scene.ended, scene.unwatched]).toEqual([['b', 'a'], [WATCH]]);
});

test('when /proc cannot be read after an end of who knows whom, it is read again', () => {
  const files = [scene.open(10), scene.open(20), scene.open(30)];
  for (const [index, file] of files.entries()) scene.release(file, 'abc'[index]!);
  scene.wait(LATER_MS);
  scene.show({ 10: 1, 20: 1 });
  expect(scene.ended).toEqual(['c']);
  // Taken for the end of c, which was not told.
  scene.tell(1);
  scene.show(null);
  scene.wait(2000);
  scene.show({ 20: 1 });
  expect(scene.ended).toEqual(['c', 'a']);
});

test('an end that may be of a file whose release has not come does not end one that is mapped', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(b, 'b');
  // Requests come without a pause, and the release of a is among them.
  scene.toldCount = 1;
  scene.wait(LATER_MS);
  scene.answer({ 20: 1 });
  expect(scene.ended).toEqual([]);
  scene.release(a, 'a');
  scene.tell(0);
  scene.show({ 20: 1 });
  expect(scene.ended).toEqual(['a']);
});

test('the end of one that /proc has shown may be told after the memory was given up and opened again', () => {
  scene.release(scene.open(10), 'a');
  scene.wait(LATER_MS);
  scene.show({});
  expect(scene.unwatched).toEqual([WATCH]);
  const b = scene.open(10);
  scene.tell(1);
  scene.release(b, 'b');
  scene.tell(0);
  scene.show({ 10: 1 });
  expect(scene.ended).toEqual(['a']);
  scene.tell(1);
  expect(scene.ended).toEqual(['a', 'b']);
});

test('one that /proc has shown and that is told late does not end another', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  scene.release(b, 'b');
  scene.wait(LATER_MS);
  scene.show({ 20: 1 });
  expect(scene.ended).toEqual(['a']);
  scene.tell(1);
  scene.show({ 20: 1 });
  expect(scene.ended).toEqual(['a']);
  scene.tell(1);
  scene.show({});
  expect(scene.ended).toEqual(['a', 'b']);
});

test('a mapping that a child has inherited keeps the file of its parent', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  scene.release(b, 'b');
  scene.tell(1);
  // 11 has opened nothing.
  scene.show({ 11: 1 });
  expect(scene.ended).toHaveLength(1);
  scene.wait(LATER_MS);
  scene.show({ 11: 1 });
  expect(scene.ended).toHaveLength(1);
  scene.tell(1);
  expect(scene.ended).toHaveLength(2);
});

test('ends of files that are none of ours, as when root has looked at the memory, end nothing', () => {
  const a = scene.open(10);
  scene.tell(5);
  scene.release(a, 'a');
  scene.tell(0);
  expect(scene.ended).toEqual([]);
  scene.tell(1);
  expect(scene.ended).toEqual(['a']);
  const b = scene.open(10);
  scene.release(b, 'b');
  scene.tell(0);
  expect(scene.ended).toEqual(['a']);
});

test('ends that are lost are looked for in /proc', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  scene.release(b, 'b');
  scene.wait(LATER_MS);
  scene.show({ 10: 1, 20: 1 });
  scene.closings.onLost();
  scene.tell(0);
  scene.show({ 10: 1 });
  expect(scene.ended).toEqual(['b']);
});

test('what nobody has any more has ended, without a look at /proc, however many ends were told', () => {
  for (const [index, file] of [scene.open(10), scene.open(20), scene.open(30)].entries())
    scene.release(file, 'abc'[index]!);
  scene.wait(LATER_MS);
  scene.show({ 10: 1, 20: 1, 30: 1 });
  scene.isUnused = true;
  scene.tell(1);
  expect([scene.ended, scene.questions.length, scene.unwatched]).toEqual([['a', 'b', 'c'], 0, [WATCH]]);
  // Nothing is left to be told of them.
  scene.isUnused = false;
  scene.release(scene.open(10), 'd');
  scene.tell(1);
  expect(scene.ended).toEqual(['a', 'b', 'c', 'd']);
});

test('a file that somebody has open is not taken for unused', () => {
  const [a] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  // The other one is between its open and the moment when the kernel has the memory.
  scene.isUnused = true;
  scene.wait(LATER_MS);
  expect([scene.ended, scene.questions.length]).toEqual([[], 1]);
});

test('it is certain what has ended unless a release, or a look at /proc, is to come', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.open(30);
  expect(scene.mappings.isCertain()).toBe(true);
  scene.toldCount = 1;
  expect(scene.mappings.isCertain()).toBe(false);
  scene.release(a, 'a');
  scene.release(b, 'b');
  expect(scene.mappings.isCertain()).toBe(false);
  scene.tell(0);
  expect(scene.mappings.isCertain()).toBe(false);
  scene.show({ 10: 1 });
  expect([scene.ended, scene.mappings.isCertain()]).toEqual([['b'], true]);
});

test('in a hurry /proc is asked before requests have paused', () => {
  const [a] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  scene.toldCount = 1;
  expect(scene.mappings.isCertain()).toBe(false);
  scene.mappings.hurry();
  scene.answer({ 20: 1 });
  expect([scene.ended, scene.mappings.isCertain()]).toEqual([['a'], true]);
});

test('when /proc cannot be read, what was told ends all the same', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  scene.release(b, 'b');
  scene.tell(1);
  scene.show(null);
  expect(scene.ended).toHaveLength(1);
});

test('when /proc cannot be read nothing ends, and it is read again', () => {
  scene.release(scene.open(10), 'a');
  scene.wait(LATER_MS);
  scene.show(null);
  expect([scene.ended, scene.questions]).toEqual([[], []]);
  scene.wait(2000);
  scene.show({});
  expect(scene.ended).toEqual(['a']);
});

test('without a watch the close ends the attachment, and it is said', () => {
  scene.watchResult = -ENOSPC;
  const file = scene.open(10);
  expect([scene.failures, scene.mappings.isComplete]).toEqual([[-ENOSPC], false]);
  scene.release(file, 'a');
  expect(scene.ended).toEqual(['a']);
});

test('an open that the kernel did not want leaves nothing', () => {
  const file = scene.open(10);
  scene.mappings.dropped(file);
  expect([scene.unwatched, scene.sourceCount]).toEqual([[WATCH], 0]);
});

test.each([
  ['of its user', [99, 1], false],
  ['that has opened it', [20, 5], false],
  ['of nobody knows whom', [99, -1], false],
  ['of another user', [99, 5], true],
])('a process %s that could not be seen to the end may have the memory or not', (_, process, isEnded) => {
  const [a, b] = [scene.open(10), scene.open(20)];
  for (const file of [a, b]) Object.assign(file, { credentials: { ...rootCredentials, uid: 1 } });
  scene.release(a, 'a');
  scene.release(b, 'b');
  scene.wait(LATER_MS);
  for (const answer of scene.questions.splice(0))
    answer(new Map([[INODE, new Map([[20, 1]])]]), new Map([process as [number, number]]));
  expect(scene.ended).toEqual(isEnded ? ['a'] : []);
});

test('a guess takes the latest that no look has found mapped', () => {
  const [mapped, first, latest] = [scene.open(10), scene.open(20), scene.open(30)];
  scene.release(mapped, 'mapped');
  scene.tell(0);
  scene.wait(LATER_MS);
  scene.show({ 10: 1 });
  scene.release(first, 'first');
  scene.release(latest, 'latest');
  scene.toldCount = 1;
  scene.mappings.look();
  scene.mappings.hurry();
  scene.mappings.guess();
  expect(scene.ended).toEqual(['latest']);
});

test('an end that was guessed is not taken from /proc as another', () => {
  const [a, b] = [scene.open(10), scene.open(20)];
  scene.release(a, 'a');
  scene.release(b, 'b');
  scene.toldCount = 1;
  scene.mappings.look();
  scene.mappings.hurry();
  // It was that of a.
  scene.mappings.guess();
  expect(scene.ended).toEqual(['b']);
  scene.show({ 20: 1 });
  expect(scene.ended).toEqual(['b']);
  // What /proc shows from then on is no guess.
  scene.tell(1);
  scene.show({});
  expect(scene.ended).toEqual(['b', 'a']);
});

test('one that is released while /proc is read ends before one that is found mapped', () => {
  const [mapped, first] = [scene.open(10), scene.open(20)];
  scene.release(mapped, 'mapped');
  scene.release(first, 'first');
  scene.toldCount = 1;
  scene.mappings.look();
  scene.mappings.hurry();
  scene.mappings.guess();
  scene.release(scene.open(30), 'last');
  scene.toldCount = 1;
  scene.answer({ 10: 1 });
  expect(scene.ended).toEqual(['first', 'last']);
});
