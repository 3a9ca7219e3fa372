const MIB = 1024 * 1024;
/** Of the time, at the start: caches fill, code is compiled, the collector finds its pace. */
const WARM_UP_SHARE = 0.2;
/** What the median of the later half may lie above that of the earlier one. */
const GROWTH_LIMIT = 0.1;
/** Less than this is noise, however small the heap is. */
const NOISE_BYTES = 2 * MIB;

/** What the server uses and holds at one moment. Names are those of info/metrics. */
export interface Sample {
  readonly atMs: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly values: ReadonlyMap<string, number>;
  /** Operations that failed with EIO: nothing here has a reason to. */
  readonly ioErrors: number;
  readonly operations: number;
}

interface Family {
  readonly name: string;
  readonly metrics: readonly {
    readonly labels?: Readonly<Record<string, string>>;
    readonly value?: number;
  }[];
}

/** What has to be back at its start when nobody uses the mount any more. */
export const HELD: readonly string[] = [
  'ipcfs_blocked_calls',
  'ipcfs_pipe_buffer_bytes',
  'ipcfs_pipes',
  'ipcfs_pairs',
  'ipcfs_kqueues',
  'ipcfs_knotes',
  'ipcfs_timers',
  'ipcfs_segments',
  'ipcfs_segment_bytes',
  'ipcfs_open_files',
  'ipcfs_nodes',
];

/** From the text of info/metrics.json. */
export function sampleOf(text: string, atMs: number): Sample {
  const families = JSON.parse(text) as Family[];
  const sum = (name: string, errno?: string): number =>
    (families.find((family) => family.name === name)?.metrics ?? [])
      .filter(({ labels }) => errno === undefined || labels?.['errno'] === errno)
      .reduce((total, { value }) => total + (value ?? 0), 0);
  return {
    atMs,
    residentBytes: sum('process_resident_memory_bytes'),
    heapBytes: sum('nodejs_heap_size_used_bytes'),
    values: new Map(HELD.map((name) => [name, sum(name)])),
    ioErrors: sum('ipcfs_operation_errors_total', 'EIO'),
    operations: sum('ipcfs_operations_total'),
  };
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

export function mebibytes(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}

export interface Growth {
  readonly earlierBytes: number;
  readonly laterBytes: number;
  readonly isFlat: boolean;
}

/** Medians of the two halves of the time after the warm-up. */
export function growth(samples: readonly Sample[], bytesOf: (sample: Sample) => number): Growth {
  const warm = samples.slice(Math.ceil(samples.length * WARM_UP_SHARE));
  const middle = warm.length >> 1;
  const earlierBytes = median(warm.slice(0, middle).map(bytesOf));
  const laterBytes = median(warm.slice(middle).map(bytesOf));
  return { earlierBytes, laterBytes, isFlat: laterBytes <= earlierBytes * (1 + GROWTH_LIMIT) + NOISE_BYTES };
}

/** What is held now and was not at the start, a word each. */
export function leaks(start: Sample, end: Sample): string[] {
  return HELD.flatMap((name) => {
    const [before, after] = [start.values.get(name)!, end.values.get(name)!];
    return before === after ? [] : [`${name} ${before} -> ${after}`];
  });
}
