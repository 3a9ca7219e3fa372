/** The trace-event format, as its document states it: "JSON Object Format", and the events that ipcfs writes. */
export interface TraceEvent {
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly name?: string;
  readonly cat?: string;
  readonly id?: number;
  readonly s?: string;
  readonly bp?: string;
  readonly cname?: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface TraceEventFile {
  readonly traceEvents: readonly TraceEvent[];
  readonly displayTimeUnit: string;
  readonly otherData: Readonly<Record<string, unknown>>;
}

/** A slice, from a complete event or a pair of B and E. */
export interface Slice {
  readonly pid: number;
  readonly tid: number;
  readonly name: string;
  readonly begin: number;
  /** Infinity for one that never ended. */
  readonly end: number;
}

const METADATA = ['process_name', 'process_labels', 'process_sort_index', 'thread_name', 'thread_sort_index'];
/** Of the colours that the document reserves. */
const COLOURS = ['good', 'bad', 'terrible', 'black', 'grey', 'white', 'yellow', 'olive'];

function fail(event: TraceEvent, reason: string): never {
  throw new Error(`${reason}: ${JSON.stringify(event)}`);
}

const key = ({ pid, tid }: { readonly pid: number; readonly tid: number }): string => `${pid}/${tid}`;

/** Parses a file and checks all that the format demands; fails with the first event that breaks a rule. */
export function checkTraceEvents(text: string): TraceEventFile & { readonly slices: readonly Slice[] } {
  const file = JSON.parse(text) as TraceEventFile;
  if (file.displayTimeUnit !== 'ms' && file.displayTimeUnit !== 'ns') throw new Error('displayTimeUnit');
  for (const event of file.traceEvents) checkEvent(event);
  const slices = slicesOf(file.traceEvents);
  checkNesting(slices);
  checkFlows(file.traceEvents, slices);
  return { ...file, slices };
}

function checkEvent(event: TraceEvent): void {
  const { ph, pid, tid, ts, dur, name, args, s, cname } = event;
  if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(tid)) fail(event, 'pid or tid is no integer');
  if (!Number.isFinite(ts) || ts < 0) fail(event, 'ts is no time');
  if (ph !== 'E' && (typeof name !== 'string' || name === '')) fail(event, 'no name');
  if (cname !== undefined && !COLOURS.includes(cname)) fail(event, 'no such colour');
  if (args !== undefined && (typeof args !== 'object' || Array.isArray(args))) fail(event, 'args');
  switch (ph) {
    case 'B':
    case 'E':
      if (dur !== undefined) fail(event, 'a duration event has no dur');
      break;
    case 'X':
      if (!(dur! >= 0)) fail(event, 'a complete event has a dur');
      break;
    case 'C':
      if (args === undefined || Object.values(args).some((value) => !Number.isFinite(value)))
        fail(event, 'a counter has numbers');
      break;
    case 'M':
      if (!METADATA.includes(name!)) fail(event, 'no such metadata');
      if (name!.endsWith('_name') && typeof args?.['name'] !== 'string') fail(event, 'args.name');
      break;
    case 'i':
      if (!['g', 'p', 't'].includes(s!)) fail(event, 'the scope is g, p or t');
      break;
    case 's':
    case 'f':
      if (event.id === undefined || event.cat === undefined) fail(event, 'a flow has id and cat');
      break;
    default:
      fail(event, 'no such phase');
  }
}

/** In the order of time, as viewers do: events of one time stay in the order of the file. */
function slicesOf(events: readonly TraceEvent[]): Slice[] {
  const slices: Slice[] = [];
  const open = new Map<string, TraceEvent[]>();
  for (const event of events.toSorted((a, b) => a.ts - b.ts)) {
    const { ph, pid, tid, ts, dur, name } = event;
    const stack = open.get(key(event)) ?? [];
    open.set(key(event), stack);
    if (ph === 'B') stack.push(event);
    else if (ph === 'X') slices.push({ pid, tid, name: name!, begin: ts, end: ts + dur! });
    else if (ph === 'E') {
      const begin = stack.pop() ?? fail(event, 'an end without its begin');
      slices.push({ pid, tid, name: begin.name!, begin: begin.ts, end: ts });
    }
  }
  for (const stack of open.values()) {
    for (const { pid, tid, ts, name } of stack)
      slices.push({ pid, tid, name: name!, begin: ts, end: Infinity });
  }
  return slices;
}

/** Slices of one track lie inside each other or side by side. */
function checkNesting(slices: readonly Slice[]): void {
  const stacks = new Map<string, Slice[]>();
  for (const slice of slices.toSorted((a, b) => a.begin - b.begin || b.end - a.end)) {
    const stack = stacks.get(key(slice)) ?? [];
    stacks.set(key(slice), stack);
    while (stack.length > 0 && stack.at(-1)!.end <= slice.begin) stack.pop();
    const outer = stack.at(-1);
    if (outer !== undefined && outer.end < slice.end)
      throw new Error(`slices overlap: ${JSON.stringify([outer, slice])}`);
    stack.push(slice);
  }
}

function push(byTrack: Map<string, Slice[]>, slice: Slice): void {
  const known = byTrack.get(key(slice));
  if (known === undefined) byTrack.set(key(slice), [slice]);
  else known.push(slice);
}

/** Each flow has one begin and one end, in this order, and both are inside of slices. */
function checkFlows(events: readonly TraceEvent[], slices: readonly Slice[]): void {
  const byTrack = new Map<string, Slice[]>();
  for (const slice of slices) push(byTrack, slice);
  const begins = new Map<string, TraceEvent>();
  for (const event of events) {
    if (event.ph !== 's' && event.ph !== 'f') continue;
    const inside = byTrack.get(key(event))?.some(({ begin, end }) => begin <= event.ts && event.ts < end);
    if (inside !== true) fail(event, 'a flow outside of slices');
    const flow = `${event.cat} ${event.name} ${event.id}`;
    if (event.ph === 's') {
      if (begins.has(flow)) fail(event, 'a second begin of a flow');
      begins.set(flow, event);
      continue;
    }
    const begin = begins.get(flow) ?? fail(event, 'a flow without its begin');
    if (begin.ts > event.ts) fail(event, 'a flow backwards in time');
    if (event.bp !== 'e') fail(event, 'a flow ends at the slice around it');
    begins.delete(flow);
  }
  if (begins.size > 0) throw new Error(`${begins.size} flows have no end`);
}
