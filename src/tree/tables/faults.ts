import type { Column, Table } from '../../vfs/table.ts';
import type { Fault } from '../faults/fault.ts';
import type { FaultTable } from '../faults/fault-table.ts';
import { scheduleWords } from '../faults/schedule.ts';

export const faultsColumns = [
  { name: 'id', description: 'number of the fault', value: ({ id }) => id },
  { name: 'uid', description: 'user who added it', value: ({ uid }) => uid },
  { name: 'object', description: 'pattern of the objects', value: ({ spec }) => spec.pattern.text },
  { name: 'call', description: '`open`, `read` and so on, or `any`', value: ({ spec }): string => spec.call },
  { name: 'action', description: 'what it does', value: ({ spec }) => spec.action.text },
  {
    name: 'schedule',
    description: 'which matching calls it hits: `always`, `when=N`, `every=N`, `p=P,seed=S`',
    value: ({ spec }) => scheduleWords(spec.schedule).join(',') || 'always',
  },
  {
    name: 'pid',
    description: 'process whose calls it hits, `-` for all',
    value: ({ spec }) => (spec.pid === 0 ? '-' : spec.pid),
  },
  {
    name: 'count',
    description: 'maximum number of hits, `-` without limit',
    value: ({ spec }) => (spec.count === Infinity ? '-' : spec.count),
  },
  { name: 'calls', description: 'calls that matched', value: ({ calls }) => calls },
  { name: 'hits', description: 'calls that it hit', value: ({ hits }) => hits },
  { name: 'blocked', description: 'calls that it holds now', value: ({ blockedCalls }) => blockedCalls },
  {
    name: 'state',
    description: '`active`, or `spent` after its last hit',
    value: ({ isSpent }) => (isSpent ? 'spent' : 'active'),
  },
] as const satisfies readonly Column<Fault>[];

/** info/faults: every fault that somebody has added, and how often it has hit. */
export function faultsTable(faults: FaultTable): Table<Fault> {
  return { name: 'faults', columns: faultsColumns, rows: () => faults.all() };
}
