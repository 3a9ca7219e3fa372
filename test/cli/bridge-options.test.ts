import { describe, expect, test } from 'vitest';
import { isOutbound, parseTarget, streamNameOf } from '../../src/cli/bridge/bridge-options.ts';

describe('the address of a bridge', () => {
  test.each([
    ['nats://host:4222/jobs', { servers: ['host:4222'], subject: 'jobs', isEncrypted: false }],
    ['tls://a:1,b:2/jobs.build', { servers: ['a:1', 'b:2'], subject: 'jobs.build', isEncrypted: true }],
    [
      'nats://me:p%40ss@host/jobs',
      { servers: ['host'], subject: 'jobs', isEncrypted: false, user: 'me', pass: 'p@ss' },
    ],
    ['nats://secret@host/jobs', { servers: ['host'], subject: 'jobs', isEncrypted: false, token: 'secret' }],
  ])('%s', (url, target) => {
    expect(parseTarget(url)).toEqual(target);
  });

  test.each([
    ['host/jobs', "'host/jobs' is no address: write it as nats://HOST:PORT/SUBJECT"],
    ['http://me:secret@host', "'http://host' is no address: write it as nats://HOST:PORT/SUBJECT"],
    ['nats://host/jobs.*', "'jobs.*' is no subject: words without blanks, * and >, joined by dots"],
    ['nats://host/a..b', "'a..b' is no subject: words without blanks, * and >, joined by dots"],
  ])('%s is refused', (url, message) => {
    expect(() => parseTarget(url)).toThrow(message);
  });

  test('a stream has the name of its subject, without dots', () => {
    expect(streamNameOf('jobs.build-1')).toBe('jobs_build-1');
  });
});

describe('the direction of a bridge', () => {
  const options = { role: 'log', ackWait: 30_000 } as const;

  test('is one of two', () => {
    expect(isOutbound({ ...options, out: true })).toBe(true);
    expect(isOutbound({ ...options, in: true, from: 7, durable: 'a' })).toBe(false);
  });

  test.each([
    [{}, 'a bridge has one direction'],
    [{ in: true, out: true }, 'a bridge has one direction'],
    [{ out: true, durable: 'a' }, 'give them with --in'],
    [{ role: 'work' as const, in: true, from: 'all' as const }, 'leave out --from'],
  ])('%j is refused', (more, message) => {
    expect(() => isOutbound({ ...options, ...more })).toThrow(message);
  });
});
