import type { DeadlockRow, Row } from './rows.ts';

export interface Call {
  readonly track: Track;
  readonly call: string;
  readonly object: string;
  readonly beginUs: number;
  endUs: number;
  /** -1 for one that did not wait. */
  readonly blockedFromUs: number;
  readonly blockedToUs: number;
  readonly wait: string;
  readonly result: number;
  readonly details: string;
  /** Its end was not seen. */
  isOpen: boolean;
  isStuck: boolean;
}

export interface Arrow {
  readonly from: Track;
  readonly fromUs: number;
  readonly to: Track;
  readonly toUs: number;
  readonly object: string;
  readonly bytes: number;
}

/** A moment on a track: an event or a fault. */
export interface Mark {
  readonly us: number;
  readonly name: string;
  readonly text: string;
}

export interface Track {
  readonly process: Process;
  readonly thread: number;
  readonly lane: number;
  /** By their begin. */
  calls: Call[];
  readonly marks: Mark[];
}

export interface Process {
  readonly id: number;
  name: string;
  readonly tracks: Track[];
}

/** Bytes that a pipe holds: `bytes[i]` from `us[i]` on. */
export interface Fill {
  readonly object: string;
  readonly us: number[];
  readonly bytes: number[];
  most: number;
}

export interface StuckCall {
  readonly process: number;
  readonly object: string;
  readonly call: string;
  readonly enders: readonly number[];
}

export interface Deadlock {
  readonly us: number;
  readonly text: string;
  readonly stuck: readonly StuckCall[];
  readonly calls: readonly Call[];
}

export interface Model {
  readonly processes: readonly Process[];
  readonly tracks: readonly Track[];
  readonly fills: readonly Fill[];
  readonly arrows: readonly Arrow[];
  readonly deadlocks: readonly Deadlock[];
  readonly lost: readonly { readonly us: number; readonly lines: number }[];
  readonly callCount: number;
  readonly lostLines: number;
  readonly endUs: number;
  readonly beganMs: number;
}

interface Builder {
  readonly texts: string[];
  readonly processes: Map<number, Process>;
  /** By the number in the rows. */
  readonly tracks: Map<number, Track>;
  readonly tracksByThread: Map<string, Track>;
  /** Calls that wait, by track and begin. */
  readonly open: Map<string, Call>;
  readonly fills: Map<string, Fill>;
  readonly arrows: Arrow[];
  readonly deadlocks: DeadlockRow[];
  readonly lost: { us: number; lines: number }[];
  callCount: number;
  endUs: number;
  beganMs: number;
}

/** The rows of the page as objects. What has not ended is under way until the end of the trace. */
export function buildModel(rows: readonly Row[]): Model {
  const builder: Builder = {
    texts: [],
    processes: new Map(),
    tracks: new Map(),
    tracksByThread: new Map(),
    open: new Map(),
    fills: new Map(),
    arrows: [],
    deadlocks: [],
    lost: [],
    callCount: 0,
    endUs: 1,
    beganMs: 0,
  };
  for (const row of rows) addRow(builder, row);
  for (const call of builder.open.values()) call.endUs = Math.max(builder.endUs, call.endUs);
  const tracks = [...builder.tracksByThread.values()];
  for (const track of tracks) track.calls.sort((a, b) => a.beginUs - b.beginUs);
  return {
    processes: [...builder.processes.values()],
    tracks,
    fills: [...builder.fills.values()].sort((a, b) => (a.object < b.object ? -1 : 1)),
    arrows: builder.arrows.sort((a, b) => a.fromUs - b.fromUs),
    deadlocks: builder.deadlocks.map((row) => deadlockOf(builder, tracks, row)),
    lost: builder.lost,
    callCount: builder.callCount,
    lostLines: builder.lost.reduce((sum, { lines }) => sum + lines, 0),
    endUs: builder.endUs,
    beganMs: builder.beganMs,
  };
}

function reach(builder: Builder, us: number): void {
  if (us > builder.endUs) builder.endUs = us;
}

function addRow(builder: Builder, row: Row): void {
  const { texts, tracks } = builder;
  switch (row[0]) {
    case 's':
      texts.push(row[1]);
      break;
    case 't':
      addTrack(builder, row[1], row[2], row[3], row[4], texts[row[5]]!);
      break;
    case 'w': {
      const [, number, call, object, beginUs, blockedFromUs, wait] = row;
      const track = tracks.get(number)!;
      const open: Call = {
        track,
        call: texts[call]!,
        object: texts[object]!,
        beginUs,
        endUs: blockedFromUs,
        blockedFromUs,
        blockedToUs: Infinity,
        wait: texts[wait]!,
        result: 0,
        details: '',
        isOpen: true,
        isStuck: false,
      };
      builder.open.set(`${number} ${beginUs}`, open);
      track.calls.push(open);
      builder.callCount++;
      reach(builder, blockedFromUs);
      break;
    }
    case 'c': {
      const [, number, call, object, beginUs, endUs, blockedFromUs, blockedUs, wait, result, details] = row;
      const ended = {
        call: texts[call]!,
        object: texts[object]!,
        endUs,
        blockedFromUs,
        blockedToUs: Math.min(blockedFromUs + blockedUs, endUs),
        wait: texts[wait]!,
        result,
        details,
        isOpen: false,
      };
      const key = `${number} ${beginUs}`;
      const open = blockedFromUs < 0 ? undefined : builder.open.get(key);
      const track = tracks.get(number)!;
      if (open === undefined) {
        track.calls.push({ track, beginUs, isStuck: false, ...ended });
        builder.callCount++;
      } else {
        Object.assign(open, ended);
        builder.open.delete(key);
      }
      reach(builder, endUs);
      break;
    }
    case 'x': {
      const key = `${row[1]} ${row[2]}`;
      const call = builder.open.get(key);
      builder.open.delete(key);
      if (call !== undefined)
        Object.assign(call, { endUs: row[3], blockedToUs: row[3], details: 'its end was lost' });
      break;
    }
    case 'a': {
      const [, from, fromUs, to, toUs, object, bytes] = row;
      builder.arrows.push({
        from: tracks.get(from)!,
        fromUs,
        to: tracks.get(to)!,
        toUs,
        object: texts[object]!,
        bytes,
      });
      break;
    }
    case 'f':
      addFill(builder, texts[row[1]]!, row[2], row[3]);
      break;
    case 'e':
      tracks.get(row[1])!.marks.push({ us: row[2], name: texts[row[3]]!, text: row[4] });
      reach(builder, row[2]);
      break;
    case 'l':
      builder.lost.push({ us: row[1], lines: row[2] });
      reach(builder, row[1]);
      break;
    case 'd':
      builder.deadlocks.push(row);
      reach(builder, row[1]);
      break;
    case 'z':
      reach(builder, row[1]);
      builder.beganMs = row[2];
      break;
  }
}

function addTrack(
  builder: Builder,
  number: number,
  id: number,
  thread: number,
  lane: number,
  command: string,
): void {
  let process = builder.processes.get(id);
  if (process === undefined) builder.processes.set(id, (process = { id, name: command, tracks: [] }));
  if (command !== '') process.name = command;
  const key = `${id} ${thread} ${lane}`;
  let track = builder.tracksByThread.get(key);
  if (track === undefined) {
    track = { process, thread, lane, calls: [], marks: [] };
    builder.tracksByThread.set(key, track);
    process.tracks.push(track);
  }
  builder.tracks.set(number, track);
}

function addFill({ fills }: Builder, object: string, us: number, bytes: number): void {
  let fill = fills.get(object);
  if (fill === undefined) fills.set(object, (fill = { object, us: [], bytes: [], most: 0 }));
  // Ends of calls come nearly in the order of their times.
  fill.us.push(Math.max(us, fill.us.at(-1) ?? 0));
  fill.bytes.push(bytes);
  fill.most = Math.max(fill.most, bytes);
}

/** The calls of a deadlock are those that its threads waited in at that moment. */
function deadlockOf(
  { texts }: Builder,
  tracks: readonly Track[],
  [, us, text, entries]: DeadlockRow,
): Deadlock {
  const calls: Call[] = [];
  for (const [, thread] of entries) {
    for (const track of tracks) {
      if (track.thread !== thread) continue;
      const call = track.calls.find(
        (each) => each.blockedFromUs >= 0 && each.beginUs <= us && each.endUs >= us,
      );
      if (call === undefined) continue;
      call.isStuck = true;
      calls.push(call);
    }
  }
  const stuck = entries.map(([process, , , call, object, enders]) => ({
    process,
    call: texts[call]!,
    object: texts[object]!,
    enders,
  }));
  return { us, text, stuck, calls };
}

/** How a process is called. */
export function processLabel({ id, name }: Process): string {
  if (id === 0) return 'unknown callers';
  return name === '' ? String(id) : `${name} ${id}`;
}

const UNITS: readonly (readonly [number, string, number])[] = [
  [1_000_000, 's', 3],
  [1000, 'ms', 3],
  [1, 'µs', 0],
];

/** A duration for people. */
export function durationText(us: number): string {
  const [unitUs, unit, digits] = UNITS.find(([least]) => us >= least) ?? UNITS.at(-1)!;
  return `${Number((us / unitUs).toFixed(digits))} ${unit}`;
}

/** A time since the begin of the trace. */
export function timeText(us: number): string {
  return `${(us / 1_000_000).toFixed(6)} s`;
}
