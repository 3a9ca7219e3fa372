import * as fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { EINVAL, ENAMETOOLONG, ENOTEMPTY } from '../../src/kern/errno.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { Directory } from '../../src/vfs/directory.ts';
import { FileSystem } from '../../src/tree/file-system.ts';
import { PATH_MAX_BYTES } from '../../src/vfs/path-length.ts';
import { FakeHost, user } from '../support/engine.ts';

let fileSystem: FileSystem;
let pipes: Directory;
beforeEach(() => {
  fileSystem = new FileSystem(new Kernel(new FakeHost()), {
    identity: { uid: 0, gid: 0, version: '1', pid: 1 },
  });
  pipes = fileSystem.root.lookup('pipes') as Directory;
});

function makeDirectory(parent: Directory, name: string): Directory {
  const made = parent.makeDirectory(name, 0o755, user);
  if (typeof made === 'number') throw new Error(`mkdir: ${made}`);
  return made;
}

/** Nests directories with names of `length` until the next one is refused: the errno, and the innermost. */
function nest(from: Directory, length: number): { errno: number; depth: number; last: Directory } {
  for (let last = from, depth = 0; ; depth++) {
    const made = last.makeDirectory('d'.repeat(length), 0o755, user);
    if (typeof made === 'number') return { errno: made, depth, last };
    last = made;
  }
}

const rename = (from: Directory, oldName: string, to: Directory, newName: string): number =>
  fileSystem.rename(from, oldName, to, newName, { noReplace: false });

/** The longest path below, found by looking at all of them. */
function longestBelow(directory: Directory): number {
  const lengths = [...directory.entries].map(([name, node]) =>
    node instanceof Directory ? name.length + 1 + longestBelow(node) : 0,
  );
  return Math.max(0, ...lengths);
}

test.each([1, 7, 255])(
  'directories with names of %d bytes nest until their path would reach PATH_MAX',
  (length) => {
    const { errno, depth, last } = nest(pipes, length);
    expect(errno).toBe(-ENAMETOOLONG);
    expect(depth).toBe(Math.floor((PATH_MAX_BYTES - 'pipes/'.length) / (length + 1)));
    expect(last.path.length).toBeLessThan(PATH_MAX_BYTES);
    // Every name of a file fits into every directory.
    expect(last.makeFile('f'.repeat(255), 0o644, user)).not.toBeTypeOf('number');
    expect(last.makeSymbolicLink('l'.repeat(255), 'f', user)).not.toBeTypeOf('number');
  },
);

test('a directory is not renamed to where a path below it would be too long, also not by an exchange', () => {
  const deep = nest(pipes, 255).last;
  const up = deep.parent;
  const top = makeDirectory(pipes, 'top');
  const bottom = nest(top, 100).last;
  expect(rename(pipes, 'top', pipes, 'topmost-of-all')).toBe(0);
  expect(rename(pipes, 'topmost-of-all', pipes, 'x'.repeat(255))).toBe(-ENAMETOOLONG);
  expect(rename(pipes, 'topmost-of-all', up, 'x')).toBe(-ENAMETOOLONG);
  makeDirectory(up, 'x');
  expect(fileSystem.exchange(up, 'x', pipes, 'topmost-of-all')).toBe(-ENAMETOOLONG);
  expect(fileSystem.exchange(pipes, 'topmost-of-all', up, 'x')).toBe(-ENAMETOOLONG);
  // What has become shorter again may be moved again.
  for (let at = bottom; at !== top;) {
    const { directory, name } = at.names[0]!;
    expect(directory.rmdir(name)).toBe(0);
    at = directory;
  }
  expect(rename(pipes, 'topmost-of-all', pipes, 'x'.repeat(255))).toBe(0);
});

test('after any calls the longest path below each directory is known, and none is too long', () => {
  const names = ['a', 'b'.repeat(9), 'c'.repeat(255)];
  const step = fc.record({
    call: fc.constantFrom('mkdir', 'mkdir', 'mkdir', 'rmdir', 'rename', 'exchange'),
    from: fc.nat(1000),
    to: fc.nat(1000),
    oldName: fc.constantFrom(...names),
    newName: fc.constantFrom(...names),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const root = makeDirectory(pipes, 'root');
      // So near to the limit that a few names reach it.
      const base = makeDirectory(nest(root, 255).last.parent.parent, 'base');
      const all = [base];
      const results = new Set<number>();
      for (const { call, from, to, oldName, newName } of steps) {
        const live = all.filter((directory) => directory.linkCount > 0);
        const [one, other] = [live[from % live.length]!, live[to % live.length]!];
        let result = 0;
        if (call === 'mkdir') {
          const made = one.makeDirectory(newName, 0o755, user);
          if (typeof made === 'number') result = made;
          else all.push(made);
        } else if (call === 'rmdir') result = one.rmdir(oldName);
        else if (call === 'rename') result = rename(one, oldName, other, newName);
        else result = fileSystem.exchange(one, oldName, other, newName);
        results.add(result);
      }
      for (const directory of [pipes, root, ...all]) {
        expect(directory.longestPathBytes).toBe(longestBelow(directory));
        expect(directory.path.length).toBeLessThan(PATH_MAX_BYTES);
      }
      const empty = (directory: Directory): void => {
        for (const [name, node] of directory.entries) {
          empty(node as Directory);
          expect(directory.rmdir(name)).toBe(0);
        }
      };
      empty(pipes);
      expect(pipes.longestPathBytes).toBe(0);
      for (const result of results)
        expect([0, -2, -17, -EINVAL, -ENAMETOOLONG, -ENOTEMPTY]).toContain(result);
    }),
    { numRuns: 150 },
  );
});
