import { capabilityRows } from '../../common/capabilities.ts';
import { rawCapabilities } from '../capabilities.ts';
import type { Device } from '../device/device.ts';
import type { Session } from './session.ts';

/** Rows of info/transport. */
export function factsOf(
  { agreement, backings, writes }: Session,
  device: Device,
): (readonly [name: string, value: string | number])[] {
  return [
    ['transport', 'raw'],
    ['protocol', `7.${agreement.minor ?? 0}`],
    ['shm-backing', backings.kind],
    ['shm-detach', backings.detachesAt],
    ['sleeping-write-bytes', writes.keptBytes],
    ['held-back-writes', writes.heldCount],
    ...device.facts(),
    ...capabilityRows(rawCapabilities(backings.kind === 'passthrough')),
  ];
}
