import type { Work } from '../../../kern/work.ts';
import type { FileSystem } from '../../../tree/file-system.ts';
import type { Device } from '../device/device.ts';
import type { Placement } from '../device/placement.ts';
import type { Reply } from '../protocol/reply.ts';
import type { BackingTable } from '../segments/backings.ts';
import type { NodeTable } from './node-table.ts';
import type { OpenHandles } from './open-handles.ts';
import type { Openings } from './openings.ts';
import type { PollNotices } from './poll-notices.ts';
import type { RequestTable } from './request-table.ts';
import type { SleepingWrites } from './sleeping-writes.ts';
import type { StreamSizes } from './stream-sizes.ts';
import type { TextSizes } from './text-sizes.ts';

/** What INIT has brought. */
export interface Agreement {
  /** The minor number of the protocol that both speak; null before. */
  minor: number | null;
  /** What a kernel speaks that is too old. */
  refusedMinor: number | null;
}

/** What requests are served with. Each handler names the parts that it needs. */
export interface ServerParts {
  readonly fileSystem: FileSystem;
  readonly agreement: Agreement;
  readonly device: Pick<Device, 'negotiateRing'>;
  readonly nodes: NodeTable;
  readonly handles: OpenHandles;
  readonly requests: RequestTable;
  /** The answer under construction. */
  readonly reply: Reply;
  /** Poll handles to notify before the next answer. */
  readonly notices: PollNotices;
  /** How segments are mapped. */
  readonly backings: BackingTable;
  readonly sizes: StreamSizes;
  readonly textSizes: TextSizes;
  readonly openings: Openings;
  readonly writes: SleepingWrites;
  /** Hears who writes how much. */
  readonly writers: Pick<Placement, 'wrote'>;
  /** Does work that belongs to no call: a slice now, and the rest with calls in between. */
  background(work: Work<void>): void;
}
