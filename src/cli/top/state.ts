import type { Tables } from '../tables/tables.ts';
import type { Deadlock } from '../blocked-calls/wait-graph.ts';

/** The tables of the view, in the order in which Tab goes through them. */
export const TABLE_NAMES = ['pipes', 'kqueues', 'shm', 'waits'] as const;
export type TableName = (typeof TABLE_NAMES)[number];

export interface Sorting {
  /** Index into the table's columns. */
  readonly column: number;
  readonly isReversed: boolean;
}

/** What the person at the keyboard has chosen. */
export interface View {
  readonly table: TableName;
  readonly sorting: Readonly<Record<TableName, Sorting>>;
  /** The key of the row that is selected in each table; null for the first. */
  readonly selected: Readonly<Record<TableName, string | null>>;
  /** Rows with this text in them are shown, whatever its case. */
  readonly filter: string;
  /** The filter as it was before it is typed; null when it is not being typed. */
  readonly filterBefore: string | null;
  readonly isDetailOpen: boolean;
  /** Whether the keys are listed in place of the table. */
  readonly isHelpOpen: boolean;
  /** The first line of the hex view that is shown. */
  readonly hexLine: number;
  readonly intervalMs: number;
}

/** Bytes that went through a pipe in the last interval, a second. */
export interface Rate {
  readonly inBytes: number;
  readonly outBytes: number;
}

/** What is known of the object in the detail pane. */
export interface Detail {
  /** Whose it is: the table and the row's key. */
  readonly table: TableName;
  readonly key: string;
  /** Open files of the object. */
  readonly handles: readonly Tables['handles'][];
  /** Registrations of a kqueue. */
  readonly knotes: readonly Tables['knotes'][];
  /** Where `bytes` begin in the object. */
  readonly offset: number;
  /** Null when there are none to show; `refusal` says why, if there could be some. */
  readonly bytes: Uint8Array | null;
  readonly refusal: string | null;
}

/** What was read from the mount. */
export interface Facts {
  readonly mount: string;
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly pipeMemory: { readonly usedBytes: number; readonly maximumBytes: number };
  /** Rows as read last; null before they were. */
  readonly tables: { readonly [Name in TableName]: readonly Tables[Name][] | null };
  /** By inode number. */
  readonly rates: ReadonlyMap<number, Rate>;
  readonly detail: Detail | null;
  readonly deadlocks: readonly Deadlock[];
  /** Why what is shown is old; null when it is not. */
  readonly trouble: string | null;
}

const BY_INTEREST: Sorting = { column: -1, isReversed: false };

export function initialView(intervalMs: number): View {
  return {
    table: 'pipes',
    sorting: { pipes: BY_INTEREST, kqueues: BY_INTEREST, shm: BY_INTEREST, waits: BY_INTEREST },
    selected: { pipes: null, kqueues: null, shm: null, waits: null },
    filter: '',
    filterBefore: null,
    isDetailOpen: false,
    isHelpOpen: false,
    hexLine: 0,
    intervalMs,
  };
}
