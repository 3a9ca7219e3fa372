import { EAGAIN } from '../../src/kern/errno.ts';
import { Opcode, RECEIVE_BUFFER_BYTES } from '../../src/transports/raw/protocol/constants.ts';
import { ReceiveBuffer } from '../../src/transports/raw/protocol/request.ts';
import { RingDevice } from '../../src/transports/raw/ring-device/ring-device.ts';
import { MemoryEntryRing } from '../support/entry-ring.ts';
import type { SimulatedDevice, World } from './world.ts';

const QUEUES = 2;
const PAYLOAD_BYTES = 256 * 1024;
const SLEEP_MS = 3;
/** What comes through /dev/fuse all the same. */
const NOT_BY_RING: ReadonlySet<number> = new Set([Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT]);

/** Puts a ring before a simulated device: what its `next` says comes in entries from INIT on. */
export function addRing(world: World, device: SimulatedDevice): RingDevice {
  const scratch = new ReceiveBuffer(new ArrayBuffer(RECEIVE_BUFFER_BYTES));
  const ring = new MemoryEntryRing({
    answered: (message) => {
      const { kernel } = world;
      // Whoever waits for an answer from a ring is there until it comes.
      const { refusals } = kernel;
      kernel.refusals = 0;
      device.take(message);
      kernel.refusals = refusals;
    },
    payloadBytes: PAYLOAD_BYTES,
  });
  const ringDevice: RingDevice = new RingDevice(device, {
    ring,
    memory: ring,
    currentProcessor: () => 0,
    queueCount: QUEUES,
    initialCount: 2,
    entryLimit: 200,
    hasMemory: () => true,
  });
  ring.onEnter = (timeoutMs) => {
    // What has come is served before something else comes: it is looked at what has come of it then.
    if (!ringDevice.isRing || device.besideRing.length > 0) return;
    if (timeoutMs !== 0) {
      world.host.clock.nowMs += timeoutMs > 0 ? Math.min(timeoutMs, SLEEP_MS) : 0;
    }
    world.kernel.use(scratch);
    const length = device.next();
    if (length > 0) {
      const message = scratch.bytes.slice(0, length);
      if (NOT_BY_RING.has(scratch.words[1]!)) device.besideRing.push(message);
      else ring.request(message, (scratch.words[2]! >> 1) % QUEUES);
    } else if (length !== -EAGAIN) {
      device.besideRing.push(length);
    }
    ring.isReadable = device.besideRing.length > 0 || world.events.hasNews;
  };
  device.isBesideRing = () => ringDevice.isRing;
  return ringDevice;
}
