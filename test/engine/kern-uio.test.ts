import { describe, expect, test } from 'vitest';

import { EFAULT } from '../../src/kern/errno.ts';
import { MemoryReadUio, WriteUio } from '../../src/kern/uio.ts';
import { bytesOf } from '../support/engine.ts';

const bad = (unreadableBytes: number) => ({ unreadableBytes });

function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** Takes `length` bytes of a write as text. */
function take(uio: WriteUio, length: number): string {
  const target = new Uint8Array(length);
  expect(uio.moveIn(target, 0, length)).toBe(0);
  return textOf(target);
}

describe('the source of a write', () => {
  test('counts all segments and goes from one to the next, past empty ones', () => {
    const uio = new WriteUio([bytesOf(''), bytesOf('abc'), bytesOf(''), bytesOf('defg'), bytesOf('')], 5);
    expect([uio.residual, uio.segmentResidual, uio.offset]).toEqual([7, 3, 5]);
    expect(take(uio, 2)).toBe('ab');
    expect([uio.residual, uio.segmentResidual]).toEqual([5, 1]);
    expect(take(uio, 1)).toBe('c');
    expect([uio.residual, uio.segmentResidual]).toEqual([4, 4]);
    expect(take(uio, 4)).toBe('defg');
    expect([uio.residual, uio.segmentResidual]).toEqual([0, 0]);
    expect(() => take(uio, 1)).toThrow('no more is taken than the caller has');
  });

  test('withheld bytes are not there for the operation, until they are offered', () => {
    const uio = new WriteUio([bytesOf('abc'), bytesOf('defgh')]);
    expect(uio.withhold(9)).toBe(0);
    expect(uio.withhold(5)).toBe(3);
    expect([uio.residual, uio.segmentResidual, uio.availableBytes, uio.untakenBytes]).toEqual([5, 3, 5, 8]);
    expect(take(uio, 3)).toBe('abc');
    expect([uio.residual, uio.segmentResidual]).toEqual([2, 2]);
    const loan = uio.lend(2)!;
    expect([uio.residual, uio.untakenBytes]).toEqual([0, 5]);
    uio.giveBack(loan);
    expect(uio.withhold(1)).toBe(1);
    expect(take(uio, 1)).toBe('d');
    expect(() => take(uio, 1)).toThrow('no more is taken than the caller has');
    uio.offer(1);
    uio.offer(3);
    expect(take(uio, 4)).toBe('efgh');
    expect(() => {
      uio.offer(1);
    }).toThrow('only withheld bytes are offered again');
  });

  test('a write of nothing has no segment', () => {
    for (const segments of [[], [bytesOf('')]]) {
      const uio = new WriteUio(segments);
      expect([uio.residual, uio.segmentResidual, uio.offset]).toEqual([0, 0, 0]);
      expect(take(uio, 0)).toBe('');
    }
  });

  test('goes on at the beginning of the target where it ends', () => {
    const uio = new WriteUio([bytesOf('abcd'), bytesOf('efgh')]);
    const ring = new Uint8Array(10).fill(0x2e);
    expect(uio.moveIn(ring, 7, 6)).toBe(0);
    expect(textOf(ring)).toBe('def....abc');
    expect(uio.moveIn(ring, 10, 2)).toBe(0);
    expect(textOf(ring)).toBe('ghf....abc');
  });

  test('a fault leaves the cursor where it was, though bytes before it were good', () => {
    const uio = new WriteUio([bytesOf('abc'), bytesOf('de'), bad(4), bytesOf('fg')]);
    expect(uio.residual).toBe(11);
    expect(take(uio, 1)).toBe('a');
    expect(uio.moveIn(new Uint8Array(10), 0, 6)).toBe(-EFAULT);
    expect([uio.residual, uio.segmentResidual]).toEqual([10, 2]);
    expect(take(uio, 4)).toBe('bcde');
    expect(uio.segmentResidual).toBe(4);
    expect(uio.moveIn(new Uint8Array(10), 0, 1)).toBe(-EFAULT);
    expect(uio.residual).toBe(6);
  });
});

describe('loans', () => {
  test('a loan names bytes of the current segment and advances the cursor', () => {
    const uio = new WriteUio([bytesOf('abcdef'), bytesOf('gh')]);
    take(uio, 1);
    const loan = uio.lend(3)!;
    expect([loan.residual, loan.position, loan.segmentIndex]).toEqual([3, 1, 0]);
    expect([uio.residual, uio.segmentResidual]).toEqual([4, 2]);
    const rest = uio.lend(2)!;
    expect([uio.residual, uio.segmentResidual]).toEqual([2, 2]);
    expect(take(uio, 2)).toBe('gh');
    expect([loan.residual, rest.residual]).toEqual([3, 2]);
    expect(() => uio.lend(1)).toThrow('within the current segment');
  });

  test('a loan does not reach into the next segment, and needs readable bytes', () => {
    const uio = new WriteUio([bytesOf('ab'), bad(4)]);
    expect(() => uio.lend(3)).toThrow('within the current segment');
    take(uio, 2);
    expect(uio.lend(4)).toBe(null);
    expect(uio.residual).toBe(4);
  });

  test('a reader takes a loan in pieces, and a fault takes nothing', () => {
    const loan = new WriteUio([bytesOf('abcdef')]).lend(6)!;
    const first = new Uint8Array(4);
    expect(loan.moveOut(new MemoryReadUio([first]))).toBe(0);
    expect(textOf(first)).toBe('abcd');
    expect(loan.moveOut(new MemoryReadUio([new Uint8Array(1), bad(9)]))).toBe(-EFAULT);
    expect([loan.residual, loan.position]).toEqual([2, 4]);
    const uio = new MemoryReadUio([first]);
    expect(loan.moveOut(uio)).toBe(0);
    expect([textOf(first), uio.residual, loan.residual]).toEqual(['efcd', 2, 0]);
  });

  test('what nobody has read of a loan is given back', () => {
    const uio = new WriteUio([bytesOf('abcdef'), bytesOf('gh')]);
    const loan = uio.lend(6)!;
    expect(uio.residual).toBe(2);
    loan.moveOut(new MemoryReadUio([new Uint8Array(4)]));
    uio.giveBack(loan);
    expect([uio.residual, uio.segmentResidual, loan.residual]).toEqual([4, 2, 0]);
    expect(take(uio, 4)).toBe('efgh');
  });

  test('a detached payload is a copy, and loans made before follow it', () => {
    const payload = bytesOf('abcdef');
    const uio = new WriteUio([payload]);
    const loan = uio.lend(4)!;
    uio.detach();
    payload.fill(0x2e);
    const target = new Uint8Array(4);
    loan.moveOut(new MemoryReadUio([target]));
    expect(textOf(target)).toBe('abcd');
    expect(take(uio, 2)).toBe('ef');
    expect(() => {
      new WriteUio([payload, payload]).detach();
    }).toThrow('only a single payload');
  });
});

describe('the destination of a read', () => {
  test('scatters over its segments, past empty ones', () => {
    const parts = [new Uint8Array(0), new Uint8Array(3), new Uint8Array(0), new Uint8Array(4)];
    const uio = new MemoryReadUio(parts, 9);
    expect([uio.residual, uio.offset]).toEqual([7, 9]);
    expect(uio.moveOut(bytesOf('..abcdef'), 2, 2)).toBe(0);
    expect(uio.moveOut(bytesOf('..abcdef'), 4, 4)).toBe(0);
    expect(uio.residual).toBe(1);
    expect(parts.map(textOf)).toEqual(['', 'abc', '', 'def\0']);
  });

  test('a fault leaves the cursor where it was', () => {
    const good = new Uint8Array(3);
    const uio = new MemoryReadUio([good, bad(5)]);
    expect(uio.moveOut(bytesOf('a'), 0, 1)).toBe(0);
    expect(uio.moveOut(bytesOf('xyz'), 0, 3)).toBe(-EFAULT);
    expect(uio.residual).toBe(7);
    expect(uio.moveOut(bytesOf('bc'), 0, 2)).toBe(0);
    expect(textOf(good)).toBe('abc');
  });
});
