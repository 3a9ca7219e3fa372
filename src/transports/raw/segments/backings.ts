import createDebug from 'debug';
import { assert } from '../../../kern/assert.ts';
import { errnoName } from '../../../kern/errno.ts';
import type { Operation } from '../../../kern/operation.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import type { Device } from '../device/device.ts';
import type { LastMappings } from './last-mappings.ts';
import {
  FOPEN_DIRECT_IO,
  FOPEN_KEEP_CACHE,
  FOPEN_NOFLUSH,
  FOPEN_NONSEEKABLE,
  FOPEN_PARALLEL_DIRECT_WRITES,
  FOPEN_PASSTHROUGH,
  FOPEN_STREAM,
} from '../protocol/constants.ts';

const log = createDebug('ipcfs:backing');

const STREAM_FLAGS =
  FOPEN_DIRECT_IO | FOPEN_STREAM | FOPEN_NONSEEKABLE | FOPEN_NOFLUSH | FOPEN_PARALLEL_DIRECT_WRITES;
const TEXT_FLAGS = FOPEN_DIRECT_IO | FOPEN_NOFLUSH;
/** Segments take locks of fcntl(2), which a FLUSH at each close ends. */
const UNMAPPED_FLAGS = FOPEN_DIRECT_IO;
/** Mappings go to the backing file itself; reads and writes come to us, who know where a segment ends. */
const PASSTHROUGH_FLAGS = FOPEN_DIRECT_IO | FOPEN_PASSTHROUGH;
const CACHED_FLAGS = FOPEN_KEEP_CACHE;

/** How processes map segments: their memory itself, or the kernel's page cache, which asks us for pages. */
export type SegmentBackingKind = 'passthrough' | 'cached';
export type WantedBacking = SegmentBackingKind | 'auto';

interface Backing {
  readonly id: number;
  openFiles: number;
}

/**
 * The backing files that the kernel knows, by the descriptor of their memory. All opens of one inode must name the same one, and
 * cached and passthrough opens do not go together, so the kind is chosen once.
 */
export class BackingTable {
  readonly #device: Device;
  readonly #backings = new Map<number, Backing>();
  kind: SegmentBackingKind = 'cached';
  wanted: WantedBacking = 'auto';
  #isNegotiated = false;
  /** Hears of mappings that outlive their open files; null where nothing can be heard of them. */
  lastMappings: LastMappings | null = null;
  /** See Transport.settleDetaches. */
  settleDetaches: () => Operation<void> | null = () => null;

  constructor(device: Device) {
    this.#device = device;
  }

  /** In INIT: whether to ask for passthrough, which `isOffered` by the kernel or not. */
  negotiate(isOffered: boolean): boolean {
    this.#isNegotiated = isOffered && this.wanted !== 'cached';
    return this.#isNegotiated;
  }

  /**
   * After INIT: finds out whether passthrough works, which needs a privilege, by trying with some memory. False when it was
   * demanded and does not work.
   */
  choose(probeDescriptor: number): boolean {
    this.kind = 'cached';
    if (this.wanted === 'cached') return true;
    if (this.#isNegotiated && probeDescriptor >= 0) {
      const id = this.#device.openBacking(probeDescriptor);
      if (id > 0) {
        this.#device.closeBacking(id);
        this.kind = 'passthrough';
        return true;
      }
      log('passthrough was refused with %s', errnoName(id));
    }
    return this.wanted === 'auto';
  }

  /** open_flags and backing id for the answer to an open. */
  open(file: OpenFile): { flags: number; backingId: number } {
    const descriptor = file.memoryDescriptor;
    if (file.isStream) {
      file.areClosesReported = file.wantsCloses;
      return { flags: file.wantsCloses ? STREAM_FLAGS & ~FOPEN_NOFLUSH : STREAM_FLAGS, backingId: 0 };
    }
    if (descriptor < 0) return { flags: TEXT_FLAGS, backingId: 0 };
    if (this.kind === 'cached') return { flags: CACHED_FLAGS, backingId: 0 };
    let backing = this.#backings.get(descriptor);
    if (backing === undefined) {
      const id = this.#device.openBacking(descriptor);
      if (id <= 0) {
        // Without a backing file this open can be read and written, and not mapped; its close gives none back.
        file.memoryDescriptor = -1;
        return { flags: UNMAPPED_FLAGS, backingId: 0 };
      }
      backing = { id, openFiles: 0 };
      this.#backings.set(descriptor, backing);
    }
    backing.openFiles++;
    this.lastMappings?.opened(file);
    return { flags: PASSTHROUGH_FLAGS, backingId: backing.id };
  }

  /** What ends an attachment: its last unmapping, or, where mappings go on unseen, its last close. */
  get detachesAt(): 'last-unmap' | 'last-close' {
    return this.kind === 'cached' || this.lastMappings?.isComplete === true ? 'last-unmap' : 'last-close';
  }

  /** Ends the attachments whose end the kernel has told of, so that whatever is asked next sees it. */
  settle(): void {
    if (this.lastMappings?.isUnsettled === true) this.lastMappings.look();
  }

  /** The release of an open file, before its close and before its memory is freed. */
  close(file: OpenFile): void {
    this.lastMappings?.released(file);
    this.#giveBack(file);
  }

  /** The same for an open file that the kernel did not want in the end. */
  drop(file: OpenFile): void {
    this.lastMappings?.dropped(file);
    this.#giveBack(file);
  }

  /** Repeats the invariants, with the files that are open; called after every step in tests. */
  checkInvariants(openFiles: Iterable<OpenFile>): void {
    const counts = new Map<number, number>();
    for (const { memoryDescriptor } of openFiles) {
      counts.set(memoryDescriptor, (counts.get(memoryDescriptor) ?? 0) + 1);
    }
    for (const [descriptor, backing] of this.#backings) {
      assert(backing.openFiles > 0, 'a backing file that no open file uses is given back');
      assert(backing.openFiles === counts.get(descriptor), 'a backing file counts its open files');
    }
  }

  #giveBack(file: OpenFile): void {
    const backing = this.#backings.get(file.memoryDescriptor);
    if (backing === undefined || --backing.openFiles > 0) return;
    this.#backings.delete(file.memoryDescriptor);
    this.#device.closeBacking(backing.id);
  }
}
