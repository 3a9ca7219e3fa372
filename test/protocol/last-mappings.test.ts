import { beforeEach, expect, test } from 'vitest';
import { ENOSPC } from '../../src/kern/errno.ts';
import { CalloutQueue } from '../../src/kern/callout.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import type { MappedRanges } from '../../src/transports/common/mapper-query.ts';
import { LastMappings } from '../../src/transports/raw/last-mappings.ts';
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
  questions: ((ranges: MappedRanges | null) => void)[] = [];
  watchResult = WATCH;
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
    while (this.mappings.isPending && this.mappings.lookWhenIdle());
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

test('ends beyond the open files end nothing that is opened later', () => {
  const a = scene.open(10);
  scene.tell(5);
  scene.release(a, 'a');
  scene.tell(0);
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
  scene.show({ 10: 1 });
  expect(scene.ended).toEqual(['b']);
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
  expect([scene.failures, scene.mappings.isComplete]).toEqual([[ENOSPC], false]);
  scene.release(file, 'a');
  expect(scene.ended).toEqual(['a']);
});

test('an open that the kernel did not want leaves nothing', () => {
  const file = scene.open(10);
  scene.mappings.dropped(file);
  expect([scene.unwatched, scene.sourceCount]).toEqual([[WATCH], 0]);
});
