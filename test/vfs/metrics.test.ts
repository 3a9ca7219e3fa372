import { describe, expect, test } from 'vitest';
import { EAGAIN, EBADF } from '../../src/kern/errno.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { type Family, formatFamily, formatFamilyJson } from '../../src/vfs/exposition.ts';
import { Engine, OperationMetrics, SERVICE_BOUNDS_MS } from '../../src/vfs/metrics.ts';
import { parseExposition, valueOf } from '../support/exposition.ts';
import {
  LINUX_O_RDONLY,
  LINUX_O_RDWR,
  makePipe,
  openBody,
  openHandle,
  readBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { FuseClient, handleOf, textOf } from '../support/fuse-client.ts';

function family(labels: Record<string, string>, counts: readonly number[]): Family {
  return {
    name: 'test_seconds',
    help: 'A \\ and\na line.',
    type: 'histogram',
    samples: [{ labels, bounds: [0.1, 1], counts, sum: 2.5 }],
  };
}

describe('exposition', () => {
  test('a histogram is cumulative, labels and help are escaped', () => {
    const text = formatFamily(family({ operation: 'a"b\\c\nd' }, [1, 0, 2]));
    expect(text).toBe(
      '# HELP test_seconds A \\\\ and\\na line.\n# TYPE test_seconds histogram\n' +
        ['0.1"} 1', '1"} 1', '+Inf"} 3']
          .map((end) => `test_seconds_bucket{operation="a\\"b\\\\c\\nd",le="${end}\n`)
          .join('') +
        'test_seconds_sum{operation="a\\"b\\\\c\\nd"} 2.5\ntest_seconds_count{operation="a\\"b\\\\c\\nd"} 3\n',
    );
    const labels = { operation: 'a"b\\c\nd' };
    expect(valueOf(parseExposition(text), 'test_seconds_count', labels)).toBe(3);
  });

  test('as JSON', () => {
    expect(JSON.parse(formatFamilyJson(family({}, [1, 0, 2])))).toEqual({
      name: 'test_seconds',
      help: 'A \\ and\na line.',
      type: 'histogram',
      metrics: [{ labels: {}, count: 3, sum: 2.5, buckets: { '0.1': 1, '1': 1, '+Inf': 3 } }],
    });
  });

  test.each([
    ['a_total 1\n', 'another family'],
    ['# HELP a b\n# TYPE a gauge\na 1', 'line feed'],
    ['# HELP a b\n# TYPE a counter\na 1\n', '_total'],
    ['# HELP a b\n# TYPE a gauge\na 1\na 1\n', 'twice'],
    ['# HELP a b\n# TYPE a gauge\na{b="c"x} 1\n', 'no line'],
    ['# HELP a b\na 1\n', 'not followed'],
    ['# HELP a b\n# TYPE a gauge\na one\n', 'no line'],
    ['# HELP h b\n# TYPE h histogram\nh_bucket{le="+Inf"} 2\nh_sum 1\nh_count 1\n', 'not the count'],
    ['# HELP h b\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_sum 1\nh_count 2\n', 'no bucket +Inf'],
    [
      '# HELP h b\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
      'not cumulative',
    ],
  ])('the parser of the tests refuses %j', (text, words) => {
    expect(() => parseExposition(text)).toThrow(words);
  });
});

describe('recording', () => {
  test('an observation falls into the first bucket whose bound it does not exceed', () => {
    const metrics = new OperationMetrics();
    const kind = metrics.kind('read');
    expect(metrics.kind('read')).toBe(kind);
    for (const value of [0, SERVICE_BOUNDS_MS[0], 0.3, 1e6]) metrics.end(kind, 0, value, -1);
    const counts = metrics.service.counts(kind);
    expect([counts[0], counts[SERVICE_BOUNDS_MS.indexOf(0.5)], counts.at(-1)]).toEqual([2, 1, 1]);
    expect(metrics.service.sumMs(kind)).toBeCloseTo(1e6 + 0.305);
    expect(metrics.waits.counts(kind).every((count) => count === 0)).toBe(true);
  });

  test('errors by number, bytes by engine', () => {
    const metrics = new OperationMetrics();
    const kind = metrics.kind('read');
    metrics.end(kind, -EAGAIN, 1, -1);
    metrics.end(kind, -EAGAIN, 1, -1);
    metrics.end(kind, -5000, 1, 0);
    metrics.hasRead(Engine.Pipe, 2 ** 40);
    expect([...metrics.errors(kind)]).toEqual([
      [-EAGAIN, 2],
      [-133, 1],
    ]);
    expect([metrics.readBytes(Engine.Pipe), metrics.readBytes(Engine.Tree)]).toEqual([2 ** 40, 0]);
  });
});

describe('what a session reports', () => {
  function metricsOf(client: FuseClient): ReturnType<typeof parseExposition> {
    const answer = client.request(Opcode.OPEN, walk(client, 'info/metrics'), openBody(LINUX_O_RDONLY));
    return parseExposition(textOf(client.request(Opcode.READ, 0, readBody(handleOf(answer), 120_000))));
  }

  test('a blocked read: its sleep is a wait and no time of service', () => {
    const client = new FuseClient();
    const { clock } = client.host;
    const handle = openHandle(client, makePipe(client, 'a'), LINUX_O_RDWR);
    const before = metricsOf(client);
    const unique = client.send(Opcode.READ, 0, readBody(handle, 1));
    expect(valueOf(metricsOf(client), 'ipcfs_blocked_calls', { operation: 'read' })).toBe(1);
    clock.advance(5000);
    client.request(Opcode.WRITE, 0, writeBody(handle, Buffer.from('x')));
    expect(client.answers(unique).length).toBe(1);
    const after = metricsOf(client);
    const read = { operation: 'read' };
    expect(valueOf(after, 'ipcfs_operation_blocked_seconds_count', read)).toBe(1);
    expect(valueOf(after, 'ipcfs_operation_blocked_seconds_sum', read)).toBe(5);
    expect(valueOf(after, 'ipcfs_operation_blocked_seconds_bucket', { ...read, le: '1' })).toBe(0);
    expect(valueOf(after, 'ipcfs_operation_blocked_seconds_bucket', { ...read, le: '10' })).toBe(1);
    expect(valueOf(after, 'ipcfs_operation_duration_seconds_sum', read)).toBe(0);
    // The two other reads are those of info/metrics.
    const total = valueOf(after, 'ipcfs_operations_total', read);
    expect(total - valueOf(before, 'ipcfs_operations_total', read)).toBe(3);
    expect(valueOf(after, 'ipcfs_read_bytes_total', { engine: 'pipe' })).toBe(1);
    expect(valueOf(after, 'ipcfs_written_bytes_total', { engine: 'pipe' })).toBe(1);
    expect(valueOf(after, 'ipcfs_blocked_calls', read)).toBe(0);
  });

  test('time between arrival and answer is service', () => {
    const client = new FuseClient();
    const { clock } = client.host;
    const body = openBody(LINUX_O_RDONLY).build();
    const message = client.message(Opcode.OPEN, walk(client, 'info/version'), body);
    client.session.buffers.current.bytes.set(message);
    clock.advance(30);
    client.session.serve(message.length, clock.nowMs - 30);
    const { service } = client.fileSystem.operations;
    expect(service.sumMs(client.fileSystem.operations.kind('open'))).toBe(30);
  });

  test('every request is counted by its kind, errors too, and what is not known as unknown', () => {
    const client = new FuseClient();
    const operations = client.fileSystem.operations;
    const total = (name: string): number => operations.total(operations.kind(name));
    client.request(Opcode.STATFS, 1);
    client.error(Opcode.READ, 0, readBody(4711, 1));
    client.error(63, 1);
    client.error(4000, 1);
    client.send(Opcode.FORGET, 1, readBody(0, 0));
    expect(['statfs', 'read', 'unknown', 'forget', 'write'].map(total)).toEqual([1, 1, 2, 1, 0]);
    expect([...operations.errors(operations.kind('read'))]).toEqual([[-EBADF, 1]]);
  });
});
