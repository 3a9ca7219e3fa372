import { expect, test } from 'vitest';
import { PerfettoForm } from '../../src/cli/trace/picture/perfetto-form.ts';
import { parseTraceLine, type TraceFields } from '../../src/cli/trace/trace-lines.ts';
import { Random } from '../support/random.ts';
import { checkTraceEvents, type TraceEventFile } from '../support/trace-events.ts';

const BEGIN = 1_764_374_271;
const us = (count: number): number => BEGIN + count / 1e6;

/** A line of the trace, as a command gets it: times in microseconds since the begin. */
function line(fields: Omit<TraceFields, 'time'> & { readonly at: number }): TraceFields {
  const { at, duration = 0, blocked = 0, ...others } = fields;
  const times = { time: us(at), duration: duration / 1e6, blocked: blocked / 1e6 };
  return parseTraceLine(JSON.stringify({ process: others.pid, command: 'sh', ...others, ...times }))!;
}

function draw(...lines: readonly TraceFields[]): TraceEventFile & ReturnType<typeof checkTraceEvents> {
  const form = new PerfettoForm(BEGIN);
  let text = form.header;
  for (const fields of lines) {
    text += form.format(fields);
    // Whole after each line.
    checkTraceEvents(Buffer.from(text + form.footer, 'latin1').toString('utf8'));
  }
  return checkTraceEvents(Buffer.from(text + form.footer, 'latin1').toString('utf8'));
}

const wait = { type: 'wait', duration: 10, wait: 'piperd' } as const;

test('a call is a slice on the track of its thread, with its facts', () => {
  const { traceEvents } = draw(
    line({
      type: 'end',
      at: 5,
      duration: 7,
      pid: 12,
      process: 11,
      call: 'write',
      object: 'pipes/a',
      size: 4,
      result: 4,
      fill: 4,
    }),
  );
  expect(traceEvents).toContainEqual({
    ph: 'X',
    pid: 11,
    tid: 12,
    ts: 5,
    dur: 7,
    name: 'write pipes/a',
    cat: 'write',
    args: { object: 'pipes/a', size: 4, fill: 4, result: 4 },
  });
  expect(traceEvents).toContainEqual(
    expect.objectContaining({ ph: 'M', name: 'process_name', pid: 11, args: { name: 'sh' } }),
  );
  expect(traceEvents).toContainEqual(
    expect.objectContaining({ ph: 'C', name: 'pipes/a', ts: 12, args: { bytes: 4 } }),
  );
});

test('blocked time is a slice of its own inside the call, also while the call waits', () => {
  const begun = line({ ...wait, at: 100, pid: 12, call: 'read', object: 'pipes/a' });
  const open = draw(begun);
  expect(open.slices.map(({ name, begin, end }) => [name, begin, end])).toEqual([
    ['read pipes/a', 100, Infinity],
    ['blocked', 110, Infinity],
  ]);
  const { slices, traceEvents } = draw(
    begun,
    line({
      type: 'end',
      at: 100,
      duration: 60,
      blocked: 40,
      pid: 12,
      call: 'read',
      object: 'pipes/a',
      result: 3,
    }),
  );
  expect(slices.map(({ name, begin, end }) => [name, begin, end])).toEqual([
    ['blocked', 110, 150],
    ['read pipes/a', 100, 160],
  ]);
  expect(traceEvents.find(({ name }) => name === 'blocked')).toMatchObject({
    cname: 'terrible',
    args: { wait: 'piperd' },
  });
});

test('an arrow leads from a write to each read that took bytes of it, whichever line comes first', () => {
  const write = (at: number, duration: number, offset: number, result: number): TraceFields =>
    line({ type: 'end', at, duration, pid: 1, call: 'write', object: 'pipes/a', inode: 9, offset, result });
  const read = (at: number, offset: number, result: number): TraceFields =>
    line({ type: 'end', at, duration: 5, pid: 2, call: 'read', object: 'pipes/a', inode: 9, offset, result });
  const { traceEvents } = draw(
    write(0, 5, 0, 10),
    write(10, 5, 10, 10),
    read(20, 0, 15),
    read(30, 15, 20),
    write(0, 40, 20, 15),
  );
  const bytes = traceEvents.filter(({ ph }) => ph === 's').map(({ args }) => args!['bytes']);
  expect(bytes).toEqual([10, 5, 5, 15]);
  const backwards = traceEvents.findLast(({ ph }) => ph === 's');
  expect(backwards!.ts).toBeLessThan(35);
});

test('the ends of a pair have streams of their own', () => {
  const { traceEvents } = draw(
    line({ type: 'end', at: 0, pid: 1, call: 'write', object: 'pairs/p/0', offset: 0, result: 4 }),
    line({ type: 'end', at: 5, pid: 1, call: 'read', object: 'pairs/p/0', offset: 0, result: 4 }),
    line({ type: 'end', at: 9, pid: 1, call: 'read', object: 'pairs/p/1', offset: 0, result: 4, fill: 0 }),
  );
  expect(traceEvents.filter(({ ph }) => ph === 's')).toMatchObject([{ name: 'pairs/p/0' }]);
  expect(traceEvents.filter(({ ph }) => ph === 'C')).toMatchObject([{ name: 'pairs/p/0' }]);
});

test('lost lines are counted, and a wait whose end is lost ends with the next call of its thread', () => {
  const { traceEvents, slices, otherData } = draw(
    line({ ...wait, at: 0, pid: 7, call: 'read', object: 'pipes/a' }),
    { type: 'lost', time: us(50), lines: 30 },
    { type: 'lost', time: us(60), lines: 12 },
    line({ type: 'end', at: 100, duration: 4, pid: 7, call: 'write', object: 'pipes/b', result: 1 }),
  );
  expect(otherData['lost-lines']).toBe(42);
  expect(traceEvents).toContainEqual(expect.objectContaining({ ph: 'i', name: 'lost lines: 30', s: 'g' }));
  expect(slices).toContainEqual(expect.objectContaining({ name: 'read pipes/a', end: 100 }));
});

test('calls of unknown callers that overlap are on tracks of their own', () => {
  const { slices } = draw(
    line({ ...wait, at: 0, pid: 0, process: 0, call: 'read', object: 'pipes/a' }),
    line({ ...wait, at: 5, pid: 0, process: 0, call: 'read', object: 'pipes/b' }),
    line({
      type: 'end',
      at: 0,
      duration: 40,
      blocked: 20,
      pid: 0,
      process: 0,
      call: 'read',
      object: 'pipes/a',
      result: 1,
    }),
    line({
      type: 'end',
      at: 5,
      duration: 50,
      blocked: 20,
      pid: 0,
      process: 0,
      call: 'read',
      object: 'pipes/b',
      result: 1,
    }),
  );
  expect(new Set(slices.map(({ tid }) => tid)).size).toBe(2);
});

test('what began before the picture begins with it; a name of a file is nothing but a name', () => {
  const object = 'pipes/</script>\u202e\u0085"\\';
  const { traceEvents } = draw(
    line({ type: 'end', at: -500, duration: 600, pid: 3, call: 'read', object, result: 0 }),
  );
  expect(traceEvents.find(({ ph }) => ph === 'X')).toMatchObject({ ts: 0, dur: 100 });
  const text = JSON.stringify(traceEvents);
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  expect(text).not.toMatch(/[\u202e\u0080-\u009f\0-\x1f]/);
});

test('any lines at all give a file that is whole', () => {
  const random = new Random(7);
  const next = (limit: number): number => random.below(limit);
  const lines: TraceFields[] = [];
  for (let count = 0; count < 3000; count++) {
    const at = count * 5 - next(200);
    const fields = { at, duration: next(300), blocked: next(300), pid: next(6), object: `pipes/${next(3)}` };
    const call = ['read', 'write', 'open', 'poll'][next(4)]!;
    const moved = next(2) === 0 ? {} : { offset: next(500), fill: next(100) };
    const type = (['end', 'end', 'wait', 'event', 'lost'] as const)[next(5)]!;
    if (type === 'lost') lines.push({ type, time: us(at), lines: 1 });
    else lines.push(line({ ...fields, ...moved, type, call, process: next(3), result: next(50) - 5 }));
  }
  const form = new PerfettoForm(BEGIN);
  const text = form.header + lines.map((fields) => form.format(fields)).join('') + form.footer;
  expect(checkTraceEvents(text).slices.length).toBeGreaterThan(1000);
});

test('10,000 calls that wait at once have tracks of their own, and all end', () => {
  const count = 10_000;
  const form = new PerfettoForm(BEGIN);
  const call = { call: 'read', object: 'pipes/a' };
  let text = form.header;
  for (let pid = 1; pid <= count; pid++) text += form.format(line({ ...wait, ...call, at: pid, pid }));
  expect(checkTraceEvents(text + form.footer).slices.every(({ end }) => end === Infinity)).toBe(true);
  for (let pid = 1; pid <= count; pid++)
    text += form.format(
      line({ type: 'end', ...call, at: pid, duration: 50_000, blocked: 9000, pid, result: 1 }),
    );
  const { slices } = checkTraceEvents(text + form.footer);
  expect([slices.length, slices.filter(({ end }) => end === Infinity).length]).toEqual([2 * count, 0]);
  expect(form.oldestWaitSeconds).toBe(Infinity);
});
