import { EBUSY, ENOMEM } from '../../kern/errno.ts';
import { BIG_PIPE_SIZE_BYTES, PIPE_SIZE_BYTES } from '../budget.ts';
import type { PipeOptions } from '../pipe-options.ts';
import { ByteDelivery } from './byte-delivery.ts';
import type { Delivery } from './delivery.ts';
import { FanoutDelivery } from './fanout-delivery.ts';
import { framingRules, NEWLINE } from './framing.ts';
import { overflowPolicies } from './overflow.ts';
import type { Queue } from './queue.ts';
import { RecordDelivery } from './record-delivery.ts';
import { TokenDelivery } from './token-delivery.ts';

// How a queue takes over the end of a BSD pipe, changes its options while bytes are queued, and gives the end back.

/**
 * OptionDiscipline.begin. Without a capacity of its own the ring gets the largest of BSD's sizes if it can, so that what is written stays
 * there as long as it may.
 */
export function beginQueue(queue: Queue): number {
  const { end, ring, options } = queue;
  const lack = queue.reserveRecords(countRecords(queue, [], options));
  if (lack !== 0) return lack;
  const wantedBytes = options.capacityBytes === 0 ? BIG_PIPE_SIZE_BYTES : options.capacityBytes;
  const isResized =
    ring.size === wantedBytes || (ring.count <= wantedBytes && ring.resize(wantedBytes) === 0);
  if (!isResized && options.capacityBytes > 0) {
    queue.dispose();
    return ring.count > wantedBytes ? -EBUSY : -ENOMEM;
  }
  divide(queue);
  end.chunk = null;
  end.discipline = queue;
  queue.lookAgain();
  return 0;
}

/** OptionDiscipline.finish. */
export function finishQueue(queue: Queue): number {
  const { end, ring } = queue;
  const sizeBytes = queue.queuedBytes + sumOf(queue.lines.all());
  if (sizeBytes > BIG_PIPE_SIZE_BYTES) return -EBUSY;
  let ringBytes = PIPE_SIZE_BYTES;
  while (ringBytes < sizeBytes) ringBytes *= 2;
  const error =
    (ring.size === ringBytes ? 0 : ring.resize(ringBytes)) ||
    refill(queue, queue.delivery.front(), queue.lines.all());
  if (error !== 0) return error;
  queue.delivery.end();
  end.discipline = null;
  queue.dispose();
  queue.lookAgain();
  return 0;
}

/** OptionDiscipline.change. */
export function changeQueue(queue: Queue, options: PipeOptions): number {
  const { ring } = queue;
  const before = queue.options;
  const capacityBytes = options.capacityBytes === 0 ? BIG_PIPE_SIZE_BYTES : options.capacityBytes;
  const isOther = deliveryKind(options) !== deliveryKind(before);
  const front = isOther ? queue.delivery.front() : [];
  const begun = options.framing === before.framing ? [] : queue.lines.all();
  const neededBytes = sumOf(front) + ring.count + sumOf(begun) + queue.delivery.reservedBytes;
  if (neededBytes > capacityBytes || queue.lines.longestBytes >= capacityBytes) return -EBUSY;
  const isDivided = options.framing !== before.framing || front.length > 0;
  const lack = isDivided ? queue.reserveRecords(countRecords(queue, front, options)) : 0;
  if (lack !== 0) return lack;
  if (ring.size !== capacityBytes && (options.capacityBytes > 0 || before.capacityBytes > 0)) {
    const error = ring.resize(capacityBytes);
    if (error !== 0) return error;
  }
  if (neededBytes > ring.size) return -EBUSY;
  const error = refill(queue, front, begun);
  if (error !== 0) return error;
  if (isOther) {
    queue.delivery.end();
    queue.delivery = deliveryFor(queue, options);
  }
  queue.options = options;
  queue.overflow = overflowPolicies[options.overflow];
  queue.framing = framingRules[options.framing];
  if (isDivided) {
    queue.lines.forgetAll();
    queue.tailWriter = null;
    queue.isTailDropped = false;
    divide(queue);
    queue.delivery.divided();
  }
  queue.lookAgain();
  return 0;
}

/** Puts bytes before and behind those in the ring, which has room for them. 0, or with nothing changed -ENOMEM. */
function refill(queue: Queue, before: readonly Uint8Array[], behind: readonly Uint8Array[]): number {
  if (before.length === 0 && behind.length === 0) return 0;
  const { ring } = queue;
  const stored = ring.peek(ring.count);
  ring.discard(ring.count);
  // Only a ring that was empty can lack memory, and then the first piece is refused.
  for (const piece of [...before, stored, ...behind]) {
    const error = ring.append(piece);
    if (error !== 0) return error;
  }
  queue.ringOffset -= sumOf(before);
  return 0;
}

/** How many records there are at most once `front` lies before the ring's bytes, and begun lines behind. */
function countRecords({ ring }: Queue, front: readonly Uint8Array[], { framing }: PipeOptions): number {
  if (framing !== 'lines') return 1;
  let count = 1;
  let length = ring.lengthUpTo(NEWLINE, 0);
  for (let at = 0; length > 0; length = ring.lengthUpTo(NEWLINE, at)) {
    count++;
    at += length;
  }
  for (const bytes of front) for (const byte of bytes) if (byte === NEWLINE) count++;
  return count;
}

/** Notes the records of the bytes in the ring, as far as their bytes tell. There is memory for them. */
function divide(queue: Queue): void {
  const { ring, records } = queue;
  records.empty();
  let at = 0;
  while (at < ring.count) {
    const found = queue.options.framing === 'lines' ? ring.lengthUpTo(NEWLINE, at) : -1;
    const length = found < 0 ? ring.count - at : found;
    records.push(length);
    at += length;
  }
}

function sumOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

type DeliveryKind = 'bytes' | 'records' | 'tokens' | 'fanout';

function deliveryKind({ fanout, framing, jobserver }: PipeOptions): DeliveryKind {
  if (jobserver) return 'tokens';
  if (fanout) return 'fanout';
  return framing === 'bytes' ? 'bytes' : 'records';
}

/** The delivery that the options ask for, with no readers yet. */
export function deliveryFor(queue: Queue, options: PipeOptions): Delivery {
  switch (deliveryKind(options)) {
    case 'bytes':
      return new ByteDelivery(queue);
    case 'records':
      return new RecordDelivery(queue);
    case 'tokens':
      return new TokenDelivery(queue);
    case 'fanout':
      return new FanoutDelivery(queue);
  }
}
