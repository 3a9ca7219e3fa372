import type { BufferPool } from './buffer-pool.ts';
import type { Device } from './device.ts';
import type { GatherUio } from './gather-uio.ts';
import type { Reply } from '../protocol/reply.ts';

/**
 * Sends the header of `reply` and what a read has gathered. A large answer is left to the kernel if its bytes lie where nothing else gets
 * before they have been sent: in the buffer of a write. Whether it was.
 */
export function sendBytes(device: Device, buffers: BufferPool, reply: Reply, gather: GatherUio): boolean {
  if (gather.total >= device.backgroundBytes) {
    const buffer = buffers.keptBuffer(gather.sources[0]!.buffer);
    if (buffer !== undefined && device.sendInBackground(reply, gather, buffer)) {
      buffer.answersUnderWay++;
      return true;
    }
  }
  device.sendGathered(reply, gather);
  return false;
}
