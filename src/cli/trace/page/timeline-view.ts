import type { Colours } from './colours.ts';
import { firstIndex, layOut, type TimelineRow } from './layout.ts';
import { type Call, type Deadlock, type Model } from './model.ts';
import { GUTTER, paint, RULER, type Viewport } from './paint.ts';

const CLOSEST_US = 10;
const ZOOM = 1.5;
const PAN_PART = 0.2;
const SCROLL_PX = 60;
/** A press that moves less is a click. */
const CLICK_PX = 4;
/** How near the pointer has to be to a call. */
const NEAR_PX = 3;

export interface TimelineListener {
  /** A call under the pointer, with the pointer's place on the page; null for none. */
  hovered(call: Call | null, x: number, y: number): void;
  selected(call: Call | null): void;
  /** The moment that was chosen. */
  moved(us: number): void;
}

/** The timeline on its canvas: what is shown of it, and how it moves. */
export class TimelineView {
  readonly #canvas: HTMLCanvasElement;
  readonly #model: Model;
  readonly #colours: Colours;
  readonly #listener: TimelineListener;
  #rows: TimelineRow[];
  #fromUs = 0;
  #toUs: number;
  #scrollY = 0;
  #cursorUs: number;
  #selected: Call | null = null;
  #hovered: Call | null = null;
  #isDue = false;

  constructor(canvas: HTMLCanvasElement, model: Model, colours: Colours, listener: TimelineListener) {
    this.#canvas = canvas;
    this.#model = model;
    this.#colours = colours;
    this.#listener = listener;
    this.#rows = layOut(model, '');
    this.#toUs = model.endUs;
    this.#cursorUs = model.endUs;
    this.#listen();
    new ResizeObserver(() => {
      this.draw();
    }).observe(canvas);
  }

  get rowCount(): number {
    return this.#rows.length;
  }

  filter(text: string): void {
    this.#rows = layOut(this.#model, text);
    this.#scroll(0);
  }

  /** Draws in the next frame. */
  draw(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#paint();
    });
  }

  showAll(): void {
    this.#show(0, this.#model.endUs);
  }

  /** `factor` above 1 shows less time. */
  zoom(factor: number, aroundUs = (this.#fromUs + this.#toUs) / 2): void {
    const span = Math.max(CLOSEST_US, Math.min(this.#model.endUs, (this.#toUs - this.#fromUs) / factor));
    const part = (aroundUs - this.#fromUs) / (this.#toUs - this.#fromUs);
    const fromUs = aroundUs - span * part;
    this.#show(fromUs, fromUs + span);
  }

  /** Shows the calls of a deadlock. */
  showDeadlock({ calls, us }: Deadlock): void {
    const beginUs = Math.min(us, ...calls.map((call) => call.beginUs));
    const margin = Math.max(CLOSEST_US, (this.#model.endUs - beginUs) * 0.25);
    this.#show(beginUs - margin, this.#model.endUs);
    this.moveCursor(us);
    this.select(calls[0] ?? null);
  }

  select(call: Call | null): void {
    this.#selected = call;
    this.#listener.selected(call);
    const row = this.#rows.find(({ track }) => track === call?.track);
    if (row !== undefined) {
      const height = this.#canvas.clientHeight - RULER;
      if (row.y < this.#scrollY || row.y + row.height > this.#scrollY + height)
        this.#scroll(row.y - height / 2 - this.#scrollY);
    }
    this.draw();
  }

  /** Keys of the focused canvas; false for one that it does not know. */
  press(key: string): boolean {
    const span = this.#toUs - this.#fromUs;
    switch (key) {
      case 'ArrowLeft':
      case 'a':
        this.#pan(-span * PAN_PART);
        return true;
      case 'ArrowRight':
      case 'd':
        this.#pan(span * PAN_PART);
        return true;
      case 'ArrowUp':
        this.#scroll(-SCROLL_PX);
        return true;
      case 'ArrowDown':
        this.#scroll(SCROLL_PX);
        return true;
      case 'PageUp':
      case 'PageDown':
        this.#scroll((key === 'PageUp' ? -1 : 1) * (this.#canvas.clientHeight - RULER));
        return true;
      case '+':
      case '=':
      case 'w':
        this.zoom(ZOOM);
        return true;
      case '-':
      case 's':
        this.zoom(1 / ZOOM);
        return true;
      case '0':
      case 'Home':
        this.showAll();
        return true;
      case 'n':
      case 'p':
        this.#step(key === 'n' ? 1 : -1);
        return true;
      case 'Enter':
        if (this.#selected !== null) this.#showCall(this.#selected);
        return true;
      case 'Escape':
        this.select(null);
        return true;
      default:
        return false;
    }
  }

  #view(): Viewport {
    return {
      width: this.#canvas.clientWidth,
      height: this.#canvas.clientHeight,
      fromUs: this.#fromUs,
      toUs: this.#toUs,
      scrollY: this.#scrollY,
      cursorUs: this.#cursorUs,
      selected: this.#selected,
      hovered: this.#hovered,
    };
  }

  #paint(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    if (clientWidth === 0 || clientHeight === 0) return;
    const scale = window.devicePixelRatio;
    this.#canvas.width = Math.round(clientWidth * scale);
    this.#canvas.height = Math.round(clientHeight * scale);
    const context = this.#canvas.getContext('2d')!;
    context.scale(scale, scale);
    paint(context, this.#view(), this.#rows, this.#model, this.#colours);
  }

  #show(fromUs: number, toUs: number): void {
    const span = Math.min(this.#model.endUs, toUs - fromUs);
    this.#fromUs = Math.max(0, Math.min(fromUs, this.#model.endUs - span));
    this.#toUs = this.#fromUs + span;
    this.draw();
  }

  #pan(us: number): void {
    this.#show(this.#fromUs + us, this.#toUs + us);
  }

  #scroll(pixels: number): void {
    const last = this.#rows.at(-1);
    const most = (last === undefined ? 0 : last.y + last.height) - (this.#canvas.clientHeight - RULER);
    this.#scrollY = Math.max(0, Math.min(this.#scrollY + pixels, most));
    this.draw();
  }

  /** The moment that the graph shows. */
  moveCursor(us: number): void {
    this.#cursorUs = Math.max(0, Math.min(us, this.#model.endUs));
    this.#listener.moved(this.#cursorUs);
    this.draw();
  }

  #showCall({ beginUs, endUs }: Call): void {
    const margin = Math.max(CLOSEST_US, (endUs - beginUs) / 2);
    this.#show(beginUs - margin, endUs + margin);
  }

  /** To the next call of the same track, or to the first of all. */
  #step(by: number): void {
    const tracks = this.#rows.flatMap(({ track }) => (track === null ? [] : [track]));
    const calls = this.#selected?.track.calls ?? tracks[0]?.calls ?? [];
    const index = this.#selected === null ? 0 : calls.indexOf(this.#selected) + by;
    const call = calls[index];
    if (call === undefined) return;
    this.select(call);
    this.moveCursor((call.beginUs + call.endUs) / 2);
    if (call.beginUs < this.#fromUs || call.endUs > this.#toUs) {
      const half = (this.#toUs - this.#fromUs) / 2;
      this.#show(call.beginUs - half, call.beginUs + half);
    }
  }

  #usAt(x: number): number {
    const width = this.#canvas.clientWidth - GUTTER;
    return this.#fromUs + ((x - GUTTER) / width) * (this.#toUs - this.#fromUs);
  }

  #callAt(x: number, y: number): Call | null {
    if (x < GUTTER || y < RULER) return null;
    const line = y - RULER + this.#scrollY;
    const row = this.#rows.find((each) => line >= each.y && line < each.y + each.height);
    const calls = row?.track?.calls;
    if (calls === undefined) return null;
    const us = this.#usAt(x);
    const nearUs = this.#usAt(x + NEAR_PX) - us;
    let best: Call | null = null;
    let bestUs = nearUs;
    const first = firstIndex(calls, ({ endUs }) => endUs >= us - nearUs);
    for (let index = first; index < calls.length && calls[index]!.beginUs <= us + nearUs; index++) {
      const call = calls[index]!;
      const awayUs = Math.max(call.beginUs - us, us - call.endUs, 0);
      if (awayUs < bestUs || (awayUs === bestUs && best === null)) {
        best = call;
        bestUs = awayUs;
      }
      if (awayUs === 0) break;
    }
    return best;
  }

  #listen(): void {
    const canvas = this.#canvas;
    let pressed: { x: number; y: number; fromUs: number; toUs: number; scrollY: number } | null = null;
    let isDrag = false;
    canvas.addEventListener('pointerdown', (event) => {
      pressed = {
        x: event.offsetX,
        y: event.offsetY,
        fromUs: this.#fromUs,
        toUs: this.#toUs,
        scrollY: this.#scrollY,
      };
      isDrag = false;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener('pointermove', (event) => {
      const { offsetX: x, offsetY: y } = event;
      if (pressed === null) {
        const call = this.#callAt(x, y);
        this.#listener.hovered(call, event.clientX, event.clientY);
        if (call === this.#hovered) return;
        this.#hovered = call;
        this.draw();
        return;
      }
      isDrag ||= Math.abs(x - pressed.x) > CLICK_PX || Math.abs(y - pressed.y) > CLICK_PX;
      if (!isDrag) return;
      const us = ((pressed.x - x) / (canvas.clientWidth - GUTTER)) * (pressed.toUs - pressed.fromUs);
      this.#show(pressed.fromUs + us, pressed.toUs + us);
      this.#scroll(pressed.scrollY + pressed.y - y - this.#scrollY);
    });
    canvas.addEventListener('pointerup', (event) => {
      if (pressed !== null && !isDrag && event.offsetX >= GUTTER) {
        this.select(this.#callAt(event.offsetX, event.offsetY));
        this.moveCursor(this.#usAt(event.offsetX));
      }
      pressed = null;
    });
    canvas.addEventListener('pointerleave', () => {
      this.#hovered = null;
      this.#listener.hovered(null, 0, 0);
      this.draw();
    });
    canvas.addEventListener('dblclick', (event) => {
      const call = this.#callAt(event.offsetX, event.offsetY);
      if (call === null) this.zoom(2 * ZOOM, this.#usAt(event.offsetX));
      else this.#showCall(call);
    });
    canvas.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault();
        if (event.ctrlKey || event.metaKey) {
          this.zoom(ZOOM ** (-event.deltaY / 100), this.#usAt(Math.max(GUTTER, event.offsetX)));
        } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          const pixels = event.deltaX === 0 ? event.deltaY : event.deltaX;
          this.#pan((pixels / (canvas.clientWidth - GUTTER)) * (this.#toUs - this.#fromUs));
        } else this.#scroll(event.deltaY);
      },
      { passive: false },
    );
    canvas.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.press(event.key)) event.preventDefault();
    });
  }
}
