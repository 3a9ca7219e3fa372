import type { TraceOutputForm, TracePicture } from '../forms.ts';
import type { TraceFields } from '../trace-lines.ts';
import type { EndedCall, PictureCall, PictureSink, Place, StuckCall, Track } from './picture.ts';
import { JsonTexts, pageJson, shownText } from './texts.ts';
import { Timeline } from './timeline.ts';

// The trace-event format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU

/** More than any process has: the number of a process can be 2^22 at most. */
const FIRST_FREE = 2 ** 22 + 1;
/** Has the counters of the pipes. */
const PIPES = FIRST_FREE;
/** Has the calls of processes that the mount does not know. */
const UNKNOWN = FIRST_FREE + 1;
const FIRST_LANE = FIRST_FREE + 1000;

/** Colours of chrome://tracing; Perfetto takes one for each name. */
const BLOCKED = '"cname":"terrible"';
const DEADLOCK = '"cname":"black"';

interface Address {
  readonly pid: number;
  readonly tid: number;
}

/** `--perfetto`: an object of trace events. */
export class PerfettoForm implements TraceOutputForm, TracePicture, PictureSink {
  readonly header: string;
  readonly #timeline: Timeline;
  readonly #texts = new JsonTexts();
  readonly #began: string;
  #text = '';
  #lastFlow = 0;
  #lostLines = 0;

  /** `beginSeconds`: time 0, in seconds since 1970. */
  constructor(beginSeconds: number) {
    this.#timeline = new Timeline(this, beginSeconds);
    this.#began = new Date(beginSeconds * 1000).toISOString();
    const first = nameEvent('process_name', { pid: PIPES, tid: PIPES }, '"pipes"');
    this.header = `{"traceEvents":[\n${first}`;
    this.#text = sortEvent(PIPES, 1);
  }

  get picture(): this {
    return this;
  }

  get footer(): string {
    const facts = { source: 'ipcfs trace', began: this.#began, 'lost-lines': this.#lostLines };
    return `\n],"displayTimeUnit":"ms","otherData":${JSON.stringify(facts)}}\n`;
  }

  get oldestWaitSeconds(): number {
    return this.#timeline.oldestWaitSeconds;
  }

  format(fields: TraceFields): string {
    this.#timeline.add(fields);
    return this.#take();
  }

  formatDeadlock(seconds: number, text: string, calls: readonly StuckCall[]): string {
    this.#timeline.addDeadlock(seconds, text, calls);
    return this.#take();
  }

  #take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }

  #add(event: string): void {
    this.#text += `,\n${event}`;
  }

  track(track: Track): void {
    const address = addressOf(track);
    const command = track.command === '' ? 'unknown' : track.command;
    const process = track.process === 0 ? 'unknown callers' : command;
    this.#add(nameEvent('process_name', address, this.#texts.of(process)));
    const lane = track.lane === 0 ? '' : ` (${track.lane + 1})`;
    this.#add(nameEvent('thread_name', address, this.#texts.of(command + lane)));
  }

  began(call: PictureCall & { readonly blockedFromUs: number }): void {
    const { track, beginUs, blockedFromUs, wait } = call;
    const where = placeText(track);
    this.#add(`{"ph":"B",${where},"ts":${beginUs},${this.#nameOf(call)}}`);
    this.#add(
      `{"ph":"B",${where},"ts":${blockedFromUs},"name":"blocked","cat":"blocked",${BLOCKED},"args":{"wait":${this.#texts.of(wait)}}}`,
    );
  }

  ended(call: EndedCall): void {
    const { track, beginUs, endUs, blockedFromUs, blockedUs, wait } = call;
    const where = placeText(track);
    const args = this.#argsOf(call);
    if (call.hasBegun) {
      const blockedToUs = Math.min(blockedFromUs! + blockedUs, endUs);
      this.#add(`{"ph":"E",${where},"ts":${blockedToUs}}`);
      this.#add(`{"ph":"E",${where},"ts":${endUs},"args":${args}}`);
      return;
    }
    this.#add(
      `{"ph":"X",${where},"ts":${beginUs},"dur":${endUs - beginUs},${this.#nameOf(call)},"args":${args}}`,
    );
    if (blockedFromUs === null) return;
    this.#add(
      `{"ph":"X",${where},"ts":${blockedFromUs},"dur":${Math.min(blockedUs, endUs - blockedFromUs)},"name":"blocked","cat":"blocked",${BLOCKED},"args":{"wait":${this.#texts.of(wait)}}}`,
    );
  }

  forgotten({ track }: PictureCall, us: number): void {
    const end = `{"ph":"E",${placeText(track)},"ts":${us}`;
    this.#add(`${end}}`);
    this.#add(`${end},"args":{"end":"lost"}}`);
  }

  arrow(from: Place, to: Place, object: string, bytes: number): void {
    const flow = `"cat":"bytes","name":${this.#texts.of(object)},"id":${++this.#lastFlow},"args":{"bytes":${bytes}}`;
    this.#add(`{"ph":"s",${placeText(from.track)},"ts":${from.us},${flow}}`);
    this.#add(`{"ph":"f","bp":"e",${placeText(to.track)},"ts":${to.us},${flow}}`);
  }

  fill(object: string, us: number, bytes: number): void {
    const name = this.#texts.of(object);
    this.#add(`{"ph":"C","pid":${PIPES},"tid":${PIPES},"ts":${us},"name":${name},"args":{"bytes":${bytes}}}`);
  }

  event({ track, us }: Place, name: string, text: string): void {
    this.#add(
      `{"ph":"i","s":"t",${placeText(track)},"ts":${us},"cat":"event","name":${this.#texts.of(name)},"args":{"event":${this.#texts.of(text)}}}`,
    );
  }

  lost(us: number, lines: number): void {
    this.#lostLines += lines;
    this.#add(this.#globalEvent(us, `"lost lines: ${lines}"`, ''));
  }

  deadlock(us: number, text: string, calls: readonly StuckCall[]): void {
    const name = pageJson(shownText(text));
    this.#add(this.#globalEvent(us, name, `,${DEADLOCK}`));
    for (const { process, thread } of calls) {
      this.#add(
        `{"ph":"i","s":"t","pid":${process},"tid":${thread},"ts":${us},"cat":"deadlock","name":"deadlock",${DEADLOCK}}`,
      );
    }
  }

  #globalEvent(us: number, name: string, more: string): string {
    return `{"ph":"i","s":"g","pid":${PIPES},"tid":${PIPES},"ts":${us},"cat":"trace","name":${name}${more}}`;
  }

  #nameOf({ call, object }: PictureCall): string {
    return `"name":${this.#texts.of(`${call} ${object}`)},"cat":${this.#texts.of(call)}`;
  }

  #argsOf({ object, result, error, details }: EndedCall): string {
    let args = `{"object":${this.#texts.of(object)}`;
    for (const [name, value] of Object.entries(details)) {
      args += `,"${name}":${typeof value === 'number' ? value : this.#texts.of(value)}`;
    }
    args += `,"result":${result}`;
    if (error !== '') args += `,"error":${this.#texts.of(error)}`;
    return `${args}}`;
  }
}

function addressOf({ id, process, thread, lane }: Track): Address {
  const pid = process === 0 ? UNKNOWN : process;
  if (lane > 0) return { pid, tid: FIRST_LANE + id };
  return { pid, tid: thread === 0 ? UNKNOWN : thread };
}

function placeText(track: Track): string {
  const { pid, tid } = addressOf(track);
  return `"pid":${pid},"tid":${tid}`;
}

function nameEvent(kind: 'process_name' | 'thread_name', { pid, tid }: Address, name: string): string {
  return `{"ph":"M","pid":${pid},"tid":${tid},"ts":0,"name":"${kind}","args":{"name":${name}}}`;
}

function sortEvent(pid: number, index: number): string {
  return `,\n{"ph":"M","pid":${pid},"tid":${pid},"ts":0,"name":"process_sort_index","args":{"sort_index":${index}}}`;
}
