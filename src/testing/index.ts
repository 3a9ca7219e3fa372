/** What `import ... from 'ipcfs/testing'` gives: a mount for one test, for any test runner. */

export type { Tables } from '../cli/tables/tables.ts';
export type { TraceFields as TraceEvent } from '../cli/trace/trace-lines.ts';
export { MountFailure } from '../transports/common/transport.ts';
export {
  type FaultAction,
  type FaultCall,
  type FaultOption,
  FaultRefusal,
  type TestFaults,
} from './faults.ts';
export type { TableName, TableRows } from './tables.ts';
export { type TestMount, type WaitUntilOptions, WaitTimeout } from './test-mount.ts';
export type { TestTrace, TraceSelection } from './trace.ts';
export { startMount, type TestMountOptions, withMount } from './with-mount.ts';
