import fc from 'fast-check';
import { expect, test } from 'vitest';

import { EAGAIN, EINVAL } from '../../src/kern/errno.ts';
import { File } from '../../src/kern/file.ts';
import { EV_ONESHOT, EVFILT_USER } from '../../src/kern/klist.ts';
import { printableLine } from '../../src/kern/printable.ts';
import { binaryKqueueOps, openKqueue } from '../../src/kqueue/file.ts';
import { EV_ADD, NOTE_TRIGGER } from '../../src/kqueue/kevent.ts';
import { isProblem, parseChange } from '../../src/kqueue/text.ts';
import { openFlags, user } from '../support/engine.ts';
import { change, kqueueOf, KqueueWorld } from '../support/kqueue.ts';
import { seedFromEnvironment } from '../support/random.ts';

const seed = seedFromEnvironment();
const parameters = { seed: seed | 0, numRuns: 3000 };
console.log(`fuzzing with IPCFS_SEED=${seed}`);

const bytes = fc.uint8Array({ maxLength: 200 });
const word = fc.oneof(
  fc.constantFrom(
    ...[
      'add',
      'delete',
      'enable',
      'disable',
      'modify',
      'user',
      'timer',
      'read',
      'vnode',
      'proc',
      'signal',
      'aio',
      'except',
    ],
    ...[
      '1',
      '0x10',
      '-1',
      'fd:3',
      'fd:',
      'USR1',
      'pipes/a',
      'trigger',
      'oneshot',
      'clear',
      'dispatch',
      'receipt',
      'exit',
    ],
    ...[
      'data=',
      'data=5',
      'data=2s',
      'fflags=0xffffffff',
      'udata=x',
      'udata=-',
      'ffor=1',
      'ffcopy=0xffffff',
      '#',
      '\0',
      '=',
    ],
  ),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map((value) => `data=${value}`),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  fc.string({ unit: 'binary-ascii', maxLength: 12 }),
);
const line = fc.array(word, { maxLength: 7 }).map((words) => words.join(' '));
const garbage = fc.oneof(
  bytes,
  fc.array(line, { maxLength: 4 }).map((lines) => Buffer.from(`${lines.join('\n')}\n`, 'latin1')),
  fc.nat(9000).map((length) => Buffer.alloc(length, 'x')),
);

/** The knotes of a queue as text, to see that nothing changed. */
function snapshot(file: File): string {
  const knotes = [...kqueueOf(file).knotes()];
  return JSON.stringify(
    knotes.map(({ filter, ident, flags, savedFflags, savedData, udata, status }) =>
      [filter, ident, flags, savedFflags, savedData, udata, status].map(String),
    ),
  );
}

/** Registers and collects one event: the queue still works. */
function proveWorking(world: KqueueWorld, file: File): void {
  kqueueOf(file).checkInvariants();
  const probe = 2n ** 64n - 7n;
  world.must(file, change(EVFILT_USER, probe, EV_ADD | EV_ONESHOT, { fflags: NOTE_TRIGGER }));
  expect(world.idents(file, 10_000)).toContain(probe);
}

test('K37: a line is parsed or refused with its column and a printable reason, whatever it holds', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        line,
        bytes.map((each) => Buffer.from(each).toString('latin1')),
      ),
      (text) => {
        const result = parseChange(text);
        if (result === null || !isProblem(result)) return;
        expect(result.column).toBeGreaterThan(0);
        expect(result.column).toBeLessThanOrEqual(text.length + 1);
        expect(printableLine(result.message)).toBe(result.message);
      },
    ),
    parameters,
  );
});

test('K15: a write of garbage is taken or is EINVAL with a line that says why, and then nothing has changed', () => {
  const world = new KqueueWorld();
  const file = world.textFile('rwn');
  world.must(file, change(EVFILT_USER, 3));
  fc.assert(
    fc.property(fc.array(garbage, { minLength: 1, maxLength: 3 }), (writes) => {
      for (const data of writes) {
        const before = snapshot(file);
        const result = world.write(file, data).result!;
        if (result === -EINVAL) {
          expect(snapshot(file)).toBe(before);
          const { text } = world.read(file, 65_536);
          expect(text).toMatch(/^error line=\d+ errno=EINVAL .+\n$/);
          expect(printableLine(text.trimEnd())).toBe(text.trimEnd());
        } else {
          expect(result).toBe(data.length);
          const call = world.read(file, 65_536);
          if (call.result !== -EAGAIN) expect(call.text).toMatch(/\n$/);
          while (world.read(file, 65_536).result! > 0 && kqueueOf(file).count === 0);
        }
      }
      // Ends a line that the garbage has left open.
      world.write(file, '\n');
      world.read(file, 65_536);
      proveWorking(world, file);
    }),
    { ...parameters, numRuns: 1500 },
  );
});

test('[SEC-16] K13 K37 records of any bytes are applied, refused one by one, or EINVAL altogether', () => {
  const world = new KqueueWorld();
  const file = new File(openFlags('rwn'), binaryKqueueOps, user);
  openKqueue(file, world.kqueues.create(user)!, binaryKqueueOps);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 330 }), (data) => {
      const before = snapshot(file);
      const result = world.write(file, data).result;
      if (data.length % 32 !== 0) {
        expect(result).toBe(-EINVAL);
        expect(snapshot(file)).toBe(before);
      } else {
        expect(result).toBe(data.length);
      }
      const records = world.read(file, 3200).result!;
      expect(records === -EAGAIN || records % 32 === 0).toBe(true);
      proveWorking(world, file);
    }),
    parameters,
  );
});
