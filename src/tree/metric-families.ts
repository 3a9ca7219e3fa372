import type { TableSpace } from '../vfs/table-memory.ts';
import type { Host } from '../kern/host.ts';
import { errnoName } from '../kern/errno.ts';
import type { KqueueSubsystem } from '../kqueue/subsystem.ts';
import type { PipeBudget } from '../pipe/budget.ts';
import type { Drops } from '../pipe/discipline.ts';
import { PAGE_SIZE_BYTES } from '../shm/limits.ts';
import type { SegmentTable } from '../shm/table.ts';
import type { Directory } from '../vfs/directory.ts';
import {
  type Distribution,
  type Family,
  formatFamily,
  formatFamilyJson,
  type Sample,
} from '../vfs/exposition.ts';
import { walk } from './tables/walk.ts';
import { isPause } from '../kern/operation.ts';
import { Engine, ENGINE_NAMES, type Histograms, type OperationMetrics } from '../vfs/metrics.ts';
import { PipeNode } from './pipes.ts';
import type { BlockedCall, Transport } from '../vfs/transport.ts';
import type { Work } from '../kern/work.ts';

const MS_PER_SECOND = 1000;
/** Calls that are shown even while none of them waits: a line that comes and goes is hard to watch. */
const CALLS_THAT_WAIT = ['open', 'read', 'write', 'release', 'flock', 'fcntl'];

/** What metrics are collected from. */
export interface MetricSources {
  readonly host: Host;
  readonly version: string;
  readonly operations: OperationMetrics;
  readonly pipes: Directory;
  readonly pairs: Directory;
  readonly budget: PipeBudget;
  readonly drops: Drops;
  readonly segments: SegmentTable;
  readonly kqueues: KqueueSubsystem;
  readonly openFileCount: () => number;
  readonly nodeCount: () => number;
  readonly transport: Transport;
}

function single(type: 'counter' | 'gauge', name: string, help: string, value: number): Family {
  return { name, help, type, samples: [{ labels: {}, value }] };
}

function counter(name: string, help: string, value: number): Family {
  return single('counter', name, help, value);
}

function gauge(name: string, help: string, value: number): Family {
  return single('gauge', name, help, value);
}

/** Kinds that have not occurred have no distribution: nobody reads thousands of zeros. */
function distributions(operations: OperationMetrics, histograms: Histograms): Distribution[] {
  const bounds = histograms.boundsMs.map((bound) => bound / MS_PER_SECOND);
  return operations.kinds.flatMap((operation, kind) => {
    const counts = histograms.counts(kind);
    if (counts.every((count) => count === 0)) return [];
    return [{ labels: { operation }, bounds, counts, sum: histograms.sumMs(kind) / MS_PER_SECOND }];
  });
}

function operationFamilies(operations: OperationMetrics): Family[] {
  const { kinds } = operations;
  const byEngine = (bytes: (engine: Engine) => number): Sample[] =>
    Object.values(Engine).map((engine) => ({
      labels: { engine: ENGINE_NAMES[engine] },
      value: bytes(engine),
    }));
  return [
    {
      name: 'ipcfs_operations_total',
      help: 'Operations that have been answered.',
      type: 'counter',
      samples: kinds.map((operation, kind) => ({ labels: { operation }, value: operations.total(kind) })),
    },
    {
      name: 'ipcfs_operation_errors_total',
      help: 'Operations that have been answered with an error.',
      type: 'counter',
      samples: kinds.flatMap((operation, kind) =>
        Array.from(operations.errors(kind), ([errno, value]) => ({
          labels: { operation, errno: errnoName(errno) },
          value,
        })),
      ),
    },
    {
      name: 'ipcfs_operation_duration_seconds',
      help: 'Time from the arrival of an operation to its answer, without the time that it was blocked.',
      type: 'histogram',
      samples: distributions(operations, operations.service),
    },
    {
      name: 'ipcfs_operation_blocked_seconds',
      help: 'Time that an operation was blocked, of those that were.',
      type: 'histogram',
      samples: distributions(operations, operations.waits),
    },
    {
      name: 'ipcfs_read_bytes_total',
      help: 'Bytes that read operations have returned, but for those that mappings and the page cache gave.',
      type: 'counter',
      samples: byEngine((engine) => operations.readBytes(engine)),
    },
    {
      name: 'ipcfs_written_bytes_total',
      help: 'Bytes that write operations have taken, but for those that went into mappings.',
      type: 'counter',
      samples: byEngine((engine) => operations.writtenBytes(engine)),
    },
  ];
}

function* blockedFamily(calls: Iterable<BlockedCall>): Work<Family> {
  const counts = new Map(CALLS_THAT_WAIT.map((call) => [call, 0]));
  for (const { call, thread } of calls) {
    const { options } = thread;
    if (options !== null && !isPause(options)) counts.set(call, (counts.get(call) ?? 0) + 1);
    yield;
  }
  return {
    name: 'ipcfs_blocked_calls',
    help: 'Calls that wait now.',
    type: 'gauge',
    samples: Array.from(counts, ([operation, value]) => ({ labels: { operation }, value })),
  };
}

function* countPipes(pipes: Directory): Work<number> {
  const seen = new Set<PipeNode>();
  for (const node of walk(pipes)) {
    if (node instanceof PipeNode) seen.add(node);
    yield;
  }
  return seen.size;
}

function* countKnotes(kqueues: KqueueSubsystem): Work<number> {
  let knotes = 0;
  for (const kqueue of kqueues.kqueues) {
    knotes += kqueue.knoteCount;
    yield;
  }
  return knotes;
}

function pipeFamilies({ budget, drops }: MetricSources): Family[] {
  return [
    counter('ipcfs_pipe_dropped_bytes_total', 'Bytes that options of pipes dropped.', drops.bytes),
    counter(
      'ipcfs_pipe_dropped_records_total',
      'Lines and other records that options of pipes dropped.',
      drops.records,
    ),
    gauge('ipcfs_pipe_buffer_bytes', 'Memory that pipe buffers use (kern.ipc.pipekva).', budget.usedBytes),
    gauge(
      'ipcfs_pipe_buffer_limit_bytes',
      'Memory that pipe buffers may use (kern.ipc.maxpipekva).',
      budget.maximumBytes,
    ),
    counter(
      'ipcfs_pipe_allocation_failures_total',
      'Pipes that could not be made for lack of buffer memory (kern.ipc.pipeallocfail).',
      budget.allocationFailures,
    ),
    counter(
      'ipcfs_pipe_allocation_retries_total',
      'Pipes that were made with a small buffer (kern.ipc.pipefragretry).',
      budget.fragmentationRetries,
    ),
    counter(
      'ipcfs_pipe_resize_failures_total',
      'Buffers that could not be resized (kern.ipc.piperesizefail).',
      budget.resizeFailures,
    ),
  ];
}

function* objectFamilies(sources: MetricSources): Work<Family[]> {
  const { pairs, segments, kqueues } = sources;
  const pipeCount = yield* countPipes(sources.pipes);
  const knoteCount = yield* countKnotes(kqueues);
  return [
    gauge('ipcfs_pipes', 'Named pipes.', pipeCount),
    gauge('ipcfs_pairs', 'Pairs, each of two ends.', pairs.entries.size),
    gauge('ipcfs_kqueues', 'Kqueues.', kqueues.kqueues.size),
    gauge('ipcfs_knotes', 'Registrations in kqueues.', knoteCount),
    gauge('ipcfs_timers', 'Armed timers of kqueues.', kqueues.calloutCount),
    counter(
      'ipcfs_kqueue_events_total',
      'Events that collectors have been given.',
      kqueues.deliveredEventCount,
    ),
    gauge('ipcfs_segments', 'Segments of shared memory.', segments.usedCount),
    gauge(
      'ipcfs_segment_bytes',
      'Memory of all segments, in whole pages.',
      segments.committedPages * PAGE_SIZE_BYTES,
    ),
    gauge('ipcfs_open_files', 'Open files.', sources.openFileCount()),
    gauge('ipcfs_nodes', 'Files and directories of the tree.', sources.nodeCount()),
  ];
}

/** The standard names for what a process uses. */
function processFamilies(host: Host): Family[] {
  const { residentBytes, heapBytes, processorSeconds, startedSeconds } = host.resourceUsage();
  return [
    gauge('process_resident_memory_bytes', 'Memory of the server in use.', residentBytes),
    counter('process_cpu_seconds_total', 'Processor time of the server.', processorSeconds),
    gauge('process_start_time_seconds', 'Start of the server since the epoch.', startedSeconds),
    gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use by the serving thread.', heapBytes),
  ];
}

/** Every metric, in the order in which they are shown. */
function* collectFamilies(sources: MetricSources): Work<readonly Family[]> {
  const { version } = sources;
  const transport = Array.from(sources.transport.counters(), ({ name, type, help, value }) =>
    single(type ?? 'counter', name, help, value),
  );
  return [
    {
      name: 'ipcfs_build_info',
      help: 'Always 1; the version is a label.',
      type: 'gauge',
      samples: [{ labels: { version }, value: 1 }],
    },
    ...operationFamilies(sources.operations),
    yield* blockedFamily(sources.transport.blockedCalls()),
    ...pipeFamilies(sources),
    ...(yield* objectFamilies(sources)),
    ...transport,
    ...processFamilies(sources.host),
  ];
}

/** info/metrics. */
export function* formatMetrics(sources: MetricSources, space: TableSpace): Work<boolean> {
  for (const family of yield* collectFamilies(sources)) {
    if (!space.write(formatFamily(family))) return false;
    yield;
  }
  return true;
}

/** info/metrics.json: an array, a family a line. */
export function* formatMetricsJson(sources: MetricSources, space: TableSpace): Work<boolean> {
  let before = '[';
  for (const family of yield* collectFamilies(sources)) {
    if (!space.write(`${before}\n${formatFamilyJson(family)}`)) return false;
    before = ',';
    yield;
  }
  return space.write('\n]\n');
}
