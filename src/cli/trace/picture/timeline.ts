import { targetOfRead } from '../stream-target.ts';
import type { TraceFields } from '../trace-lines.ts';
import { ByteFlows, type MovedPlace } from './byte-flows.ts';
import type { EndedCall, PictureSink, StuckCall } from './picture.ts';
import { type Caller, Tracks, type TrackState } from './tracks.ts';

const US_PER_SECOND = 1_000_000;
/** No call takes less: viewers do not show what takes no time. */
const SHORTEST_US = 1;
/** Arrows begin and end inside of calls. */
const INSIDE_US = 0.5;

/** The fields of a call that pictures show with it. */
const DETAILS = ['size', 'flags', 'events', 'request', 'mode', 'offset', 'fill', 'to', 'handle'] as const;

const STREAM = /^(?:pipes|pairs)\//;

function microseconds(seconds: number): number {
  return Math.round(seconds * US_PER_SECOND);
}

/** Puts the lines of a trace on tracks, and tells a sink. Keeps what is under way, and no more. */
export class Timeline {
  readonly #sink: PictureSink;
  readonly #beginUs: number;
  readonly #tracks: Tracks;
  readonly #flows: ByteFlows;
  /** What pipes hold, as the sink knows. */
  readonly #fills = new Map<string, number>();
  #flowing = '';

  /** `beginSeconds`: time 0 of the picture, in seconds since 1970. What began before is shown to begin there. */
  constructor(sink: PictureSink, beginSeconds: number) {
    this.#sink = sink;
    this.#beginUs = microseconds(beginSeconds);
    this.#tracks = new Tracks((track) => {
      sink.track(track);
    });
    this.#flows = new ByteFlows((write, read, bytes) => {
      // A write that waits for its reader ends later; its bytes went before.
      const us = Math.min(write.us, read.us);
      if (us >= write.beginUs) sink.arrow({ track: write.track, us }, read, this.#flowing, bytes);
    });
  }

  /** When the call began to wait that has waited the longest, in seconds since 1970; Infinity for none. */
  get oldestWaitSeconds(): number {
    return (this.#beginUs + this.#tracks.oldestWaitUs) / US_PER_SECOND;
  }

  add(fields: TraceFields): void {
    const us = this.#us(fields.time);
    switch (fields.type) {
      case 'lost':
        this.#sink.lost(us, fields.lines ?? 0);
        break;
      case 'event':
        this.#addEvent(fields, us);
        break;
      case 'wait':
        this.#addWait(fields, us);
        break;
      case 'end':
        this.#addEnd(fields, us);
        break;
    }
  }

  addDeadlock(seconds: number, text: string, calls: readonly StuckCall[]): void {
    this.#sink.deadlock(this.#us(seconds), text, calls);
  }

  #us(seconds: number): number {
    return Math.max(0, microseconds(seconds) - this.#beginUs);
  }

  #addEvent(fields: TraceFields, us: number): void {
    const lanes = this.#tracks.of(callerOf(fields));
    const { track } = lanes.find(({ open }) => open !== null) ?? lanes[0]!;
    const { call = 'event', object = '-', event = '' } = fields;
    this.#sink.event({ track, us }, `${call} ${object}`, event);
  }

  #addWait(fields: TraceFields, beginUs: number): void {
    const caller = callerOf(fields);
    const blockedFromUs = Math.max(beginUs, this.#us(fields.time + (fields.duration ?? 0)));
    // A thread is in one call at a time: the end of another one was lost.
    if (caller.thread !== 0) this.#forgetOpen(this.#tracks.of(caller), beginUs);
    const state = this.#tracks.freeFor(caller, beginUs);
    const { call = '', object = '-', wait = '' } = fields;
    const open = {
      track: state.track,
      call,
      object,
      beginUs: Math.max(beginUs, state.endUs),
      blockedFromUs,
      wait,
    };
    state.open = open;
    this.#sink.began(open);
    this.#addFill(fields, blockedFromUs);
  }

  #addEnd(fields: TraceFields, beginUs: number): void {
    const caller = callerOf(fields);
    const { call = '', object = '-', duration = 0, blocked = 0, result = 0, error = '' } = fields;
    const endOfCallUs = Math.max(this.#us(fields.time + duration), beginUs + SHORTEST_US);
    const lanes = this.#tracks.of(caller);
    const waited = lanes.find((lane) => isThatCall(lane, call, beginUs));
    if (waited === undefined && caller.thread !== 0) this.#forgetOpen(lanes, beginUs);
    const state = waited ?? this.#tracks.freeFor(caller, beginUs);
    const open = state.open;
    const shownFromUs = open?.beginUs ?? Math.max(beginUs, state.endUs);
    const endUs = Math.max(endOfCallUs, (open?.blockedFromUs ?? shownFromUs) + SHORTEST_US);
    const blockedUs = Math.min(microseconds(blocked), endUs - shownFromUs);
    const details: Record<string, string | number> = {};
    for (const name of DETAILS) if (fields[name] !== undefined) details[name] = fields[name];
    const ended: EndedCall = {
      track: state.track,
      call,
      object,
      beginUs: shownFromUs,
      // Without the line of its begin, only how long it waited is known.
      blockedFromUs: open?.blockedFromUs ?? (blockedUs > 0 ? endUs - blockedUs : null),
      wait: open?.wait ?? '',
      endUs,
      blockedUs,
      result,
      error,
      details,
      hasBegun: open !== null,
    };
    state.open = null;
    state.endUs = endUs;
    this.#sink.ended(ended);
    this.#addFlow(fields, ended);
    this.#addFill(fields, endUs);
  }

  #addFlow(
    { inode = 0, offset }: TraceFields,
    { call, object, result, track, beginUs, endUs }: EndedCall,
  ): void {
    if (offset === undefined || result <= 0 || !STREAM.test(object)) return;
    // Both ends of a pair have the inode of their own.
    const pipe = call === 'read' ? targetOfRead(object) : object;
    const stream = pipe === object && !pipe.startsWith('pairs/') ? `${inode} ${pipe}` : pipe;
    this.#flowing = pipe;
    const place: MovedPlace = { track, us: endUs - INSIDE_US, beginUs };
    if (call === 'read') this.#flows.took(stream, offset, result, place);
    else this.#flows.wrote(stream, offset, result, place);
  }

  #addFill({ call, object = '-', fill }: TraceFields, us: number): void {
    if (fill === undefined || !STREAM.test(object)) return;
    const pipe = call === 'read' ? targetOfRead(object) : object;
    if (this.#fills.get(pipe) === fill) return;
    this.#fills.delete(pipe);
    if (this.#fills.size >= PIPES) this.#fills.delete(this.#fills.keys().next().value!);
    this.#fills.set(pipe, fill);
    this.#sink.fill(pipe, us, fill);
  }

  #forgetOpen(lanes: readonly TrackState[], us: number): void {
    for (const lane of lanes) {
      if (lane.open === null) continue;
      const endUs = Math.max(us, lane.open.blockedFromUs! + SHORTEST_US);
      this.#sink.forgotten(lane.open, endUs);
      lane.open = null;
      lane.endUs = endUs;
    }
  }
}

/** Pipes whose fill is remembered. */
const PIPES = 4096;

/** Its object may have another name by now. */
function isThatCall({ open }: TrackState, call: string, beginUs: number): boolean {
  return open?.call === call && Math.abs(open.beginUs - beginUs) <= 2 * SHORTEST_US;
}

function callerOf({ pid = 0, process = pid, command = '' }: TraceFields): Caller {
  return { process, thread: pid, command };
}
