import type { TraceOutputForm, TracePicture } from '../forms.ts';
import type { Row, StuckEntry } from '../page/rows.ts';
import type { TraceFields } from '../trace-lines.ts';
import { PAGE_TAIL, pageHead } from './page-shell.ts';
import type { EndedCall, PictureCall, PictureSink, Place, StuckCall, Track } from './picture.ts';
import { pageJson, shownText } from './texts.ts';
import { Timeline } from './timeline.ts';

/** Texts that are written once, until so many are known. */
const TEXTS = 16_384;

/** `--html`: a page with a timeline and a graph. Its rows are those of `rows.ts`. */
export class PageForm implements TraceOutputForm, TracePicture, PictureSink {
  readonly header = pageHead();
  readonly #timeline: Timeline;
  readonly #beganMs: number;
  /** Numbers of texts, as the page counts them. */
  readonly #texts = new Map<string, number>();
  #lastText = -1;
  #rows = '';

  /** `beginSeconds`: time 0, in seconds since 1970. */
  constructor(beginSeconds: number) {
    this.#beganMs = beginSeconds * 1000;
    this.#timeline = new Timeline(this, beginSeconds);
  }

  get picture(): this {
    return this;
  }

  get footer(): string {
    const nowUs = Math.round((Date.now() - this.#beganMs) * 1000);
    return `\n${pageJson(['z', nowUs, this.#beganMs])}${PAGE_TAIL}`;
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
    const rows = this.#rows;
    this.#rows = '';
    return rows;
  }

  #add(row: Row): void {
    this.#rows += `\n${pageJson(row)}`;
  }

  #text(text: string): number {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (this.#texts.size >= TEXTS) this.#texts.clear();
    this.#texts.set(text, ++this.#lastText);
    this.#add(['s', shownText(text)]);
    return this.#lastText;
  }

  track({ id, process, thread, lane, command }: Track): void {
    this.#add(['t', id, process, thread, lane, this.#text(command)]);
  }

  began({
    track,
    call,
    object,
    beginUs,
    blockedFromUs,
    wait,
  }: PictureCall & { readonly blockedFromUs: number }): void {
    this.#add([
      'w',
      track.id,
      this.#text(call),
      this.#text(object),
      beginUs,
      blockedFromUs,
      this.#text(wait),
    ]);
  }

  ended(ended: EndedCall): void {
    const { track, call, object, beginUs, endUs, blockedFromUs, blockedUs, wait, result, error, details } =
      ended;
    const facts = Object.entries(details).map(([name, value]) => `${name}=${value}`);
    if (error !== '') facts.unshift(error);
    this.#add([
      'c',
      track.id,
      this.#text(call),
      this.#text(object),
      beginUs,
      endUs,
      blockedFromUs ?? -1,
      blockedUs,
      this.#text(wait),
      result,
      shownText(facts.join(' ')),
    ]);
  }

  forgotten({ track, beginUs }: PictureCall, us: number): void {
    this.#add(['x', track.id, beginUs, us]);
  }

  arrow(from: Place, to: Place, object: string, bytes: number): void {
    this.#add(['a', from.track.id, from.us, to.track.id, to.us, this.#text(object), bytes]);
  }

  fill(object: string, us: number, bytes: number): void {
    this.#add(['f', this.#text(object), us, bytes]);
  }

  event({ track, us }: Place, name: string, text: string): void {
    this.#add(['e', track.id, us, this.#text(name), shownText(text)]);
  }

  lost(us: number, lines: number): void {
    this.#add(['l', us, lines]);
  }

  deadlock(us: number, text: string, calls: readonly StuckCall[]): void {
    const entries = calls.map(({ process, thread, command, call, object, enders }): StuckEntry => [
      process,
      thread,
      this.#text(command),
      this.#text(call),
      this.#text(object),
      enders,
    ]);
    this.#add(['d', us, shownText(text), entries]);
  }
}
