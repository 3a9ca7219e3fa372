import { expect, test } from 'vitest';
import { globExpression } from '../../src/cli/trace/glob.ts';
import { jsonForm, textForm } from '../../src/cli/trace/forms.ts';
import { Selection } from '../../src/cli/trace/selection.ts';
import { parseTraceLine, recordOf } from '../../src/cli/trace/trace-lines.ts';
import { base64 } from '../../src/tree/trace/content.ts';
import { jsonLine, textLine } from '../../src/tree/trace/line.ts';
import {
  emptyRecord,
  RecordRing,
  RECORD_BYTES,
  type TraceRecord,
  TraceType,
} from '../../src/tree/trace/record-ring.ts';
import { pattern } from '../support/engine.ts';

const caller = { process: 12, parent: 1, command: 'a "b\\' };

/** One of each kind. */
const records: readonly Partial<TraceRecord>[] = [
  { call: 'open', object: 'pipes/\xff\x1b ', argument: 0o6001, handle: 3, result: -11 },
  { call: 'unlink', object: 'pipes/\xe2\x80\xaetxt\xe2\x80\xa8' },
  { call: 'read', argument: 131_072, offset: 2 ** 40, fill: 0, result: 100 },
  { type: TraceType.Wait, call: 'write', argument: 1, offset: 5, fill: 9, detail: 'pipdwt' },
  { call: 'poll', argument: 0x2005, result: 4 },
  { call: 'ioctl', argument: 0x5401, result: -25 },
  { call: 'mkdir', argument: 0o41755, detail: '' },
  { call: 'rename', detail: 'pipes/"new"', caller: null, pid: 0 },
  {
    type: TraceType.Event,
    call: 'event',
    object: 'kqueues/q',
    detail: 'read pipes/a data=6 flags=- fflags=0',
  },
  { type: TraceType.Lost, result: 42 },
];

function record(fields: Partial<TraceRecord>): TraceRecord {
  const times = { timeUs: 1_764_374_271_000_007, durationUs: 1_000_010, blockedUs: 999_999 };
  return { ...emptyRecord(), ...times, pid: 13, caller, object: 'pipes/a', inode: 7, ...fields };
}

test.each(records)('the command makes the line of text that the mount makes: %o', (fields) => {
  const original = record(fields);
  const line = `${jsonLine(original)}}`;
  const parsed = parseTraceLine(line)!;
  expect(`${jsonLine(recordOf(parsed))}}`).toBe(line);
  expect(textForm.format(parsed, line)).toBe(`${textLine(original)}\n`);
  expect(jsonForm.format(parsed, line)).toBe(`${line}\n`);
});

test('what is no line of a trace is none', () => {
  for (const line of ['', '{', '[]', 'null', '7', '{"type":"other","time":1}', '{"type":"end"}']) {
    expect([line, parseTraceLine(line)]).toEqual([line, null]);
  }
});

test('base64 is that of everybody', () => {
  for (let length = 0; length < 70; length++) {
    expect(base64(pattern(length, length))).toBe(Buffer.from(pattern(length, length)).toString('base64'));
  }
});

test.each([
  ['pipes/*', ['pipes/a', 'pipes/.b'], ['pipes/d/a', 'pairs/a', 'xpipes/a']],
  ['**', ['pipes/d/a', 'kqueue'], []],
  ['**/a', ['a', 'pipes/a', 'pipes/d/a'], ['pipes/ba']],
  ['pipes/?', ['pipes/a'], ['pipes/ab', 'pipes//']],
  ['p[!a]*/[x-z]', ['pipes/x', 'pipes/z'], ['pairs/x', 'pipes/a']],
  ['a[]b]c', ['a]c', 'abc'], ['ac', 'adc']],
  ['a[b', ['a[b'], ['ab']],
  [String.raw`a\*.(b)`, ['a*.(b)'], ['ab.(b)', 'a*x(b)']],
])('a pattern of the shell: %s', (glob, matching, others) => {
  const expression = globExpression(glob);
  for (const path of matching) expect([path, expression.test(path)]).toEqual([path, true]);
  for (const path of others) expect([path, expression.test(path)]).toEqual([path, false]);
});

test('a selection takes the new name of a rename, threads and processes, and every line about lost ones', () => {
  const fields = parseTraceLine(`${jsonLine(record({ call: 'rename', detail: 'pipes/new' }))}}`)!;
  const lost = parseTraceLine(`${jsonLine(record({ type: TraceType.Lost, result: 1 }))}}`)!;
  const has = (options: object, line = fields): boolean => new Selection(options).has(line);
  expect([has({ object: 'pipes/new' }), has({ object: 'pipes/a' }), has({ object: 'pipes/b' })]).toEqual([
    true,
    true,
    false,
  ]);
  expect([has({ pid: 12 }), has({ pid: 13 }), has({ pid: 14 })]).toEqual([true, true, false]);
  expect([has({ call: 'rename,mkdir' }), has({ call: 'read' })]).toEqual([true, false]);
  expect(has({ call: 'read', object: 'x', pid: 1 }, lost)).toBe(true);
});

test('the ring keeps the newest records, each as it was added', () => {
  const capacity = 10;
  const ring = new RecordRing(2 * capacity * RECORD_BYTES);
  const added = Array.from({ length: 25 }, (_, index) =>
    record({ ...records[index % records.length], timeUs: 1000 + index }),
  );
  for (const each of added) ring.add(each);
  expect([ring.first, ring.next]).toEqual([15, 25]);
  const copy = emptyRecord();
  for (let position = ring.first; position < ring.next; position++) {
    ring.copyTo(position, copy);
    expect(copy).toEqual(added[position]);
  }
});
