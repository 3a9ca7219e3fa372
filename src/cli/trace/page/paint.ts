import { type Colours, kindOf } from './colours.ts';
import { firstIndex, type TimelineRow } from './layout.ts';
import { type Arrow, type Call, durationText, type Fill, type Model } from './model.ts';

/** What of the trace is on the canvas, and where. Sizes are in pixels of the page. */
export interface Viewport {
  readonly width: number;
  readonly height: number;
  readonly fromUs: number;
  readonly toUs: number;
  readonly scrollY: number;
  /** The moment that the graph shows. */
  readonly cursorUs: number;
  readonly selected: Call | null;
  readonly hovered: Call | null;
}

/** Labels are left of it, times above. */
export const GUTTER = 190;
export const RULER = 26;
const FONT = '12px system-ui, sans-serif';
const SMALL_FONT = '10px system-ui, sans-serif';
/** More arrows on one screen say nothing. */
const ARROWS = 400;
const GRID_PX = 110;

/** Pixels of a time. */
export function xOf({ width, fromUs, toUs }: Viewport, us: number): number {
  return GUTTER + ((us - fromUs) / (toUs - fromUs)) * (width - GUTTER);
}

export function paint(
  context: CanvasRenderingContext2D,
  view: Viewport,
  rows: readonly TimelineRow[],
  model: Model,
  colours: Colours,
): void {
  const { width, height, scrollY } = view;
  context.clearRect(0, 0, width, height);
  context.textBaseline = 'middle';
  context.save();
  context.beginPath();
  context.rect(0, RULER, width, height - RULER);
  context.clip();
  const visible = rows.filter(({ y, height: tall }) => y + tall > scrollY && y < scrollY + height - RULER);
  for (const [index, row] of visible.entries()) {
    const top = RULER + row.y - scrollY;
    context.fillStyle = colours.of(row.isInner || index % 2 === 0 ? 'row' : 'row-2');
    context.fillRect(0, top, width, row.height);
  }
  paintGrid(context, view, colours);
  context.save();
  context.beginPath();
  context.rect(GUTTER, RULER, width - GUTTER, height - RULER);
  context.clip();
  for (const row of visible) {
    const top = RULER + row.y - scrollY;
    if (row.fill !== null) paintFill(context, view, row.fill, top, row.height, colours);
    else if (row.track !== null) paintTrack(context, view, row, top, colours);
  }
  paintArrows(context, view, rows, model.arrows, colours);
  paintMoments(context, view, model, colours);
  context.restore();
  for (const row of visible) paintLabel(context, row, RULER + row.y - scrollY, colours);
  context.restore();
  paintRuler(context, view, colours);
  paintScrollBar(context, view, rows.at(-1), colours);
}

/** Shows that there are more rows. */
function paintScrollBar(
  context: CanvasRenderingContext2D,
  { width, height, scrollY }: Viewport,
  last: TimelineRow | undefined,
  colours: Colours,
): void {
  const shown = height - RULER;
  const all = last === undefined ? 0 : last.y + last.height;
  if (all <= shown) return;
  context.fillStyle = colours.of('arrow');
  context.fillRect(width - 7, RULER + (scrollY / all) * shown, 5, Math.max(16, (shown / all) * shown));
}

function gridStepUs({ width, fromUs, toUs }: Viewport): number {
  const least = ((toUs - fromUs) * GRID_PX) / (width - GUTTER);
  const power = 10 ** Math.floor(Math.log10(least));
  return Math.max(1, power * ([1, 2, 5, 10].find((factor) => factor * power >= least) ?? 10));
}

function gridTimes(view: Viewport): number[] {
  const stepUs = gridStepUs(view);
  const times: number[] = [];
  for (let us = Math.ceil(view.fromUs / stepUs) * stepUs; us <= view.toUs; us += stepUs) times.push(us);
  return times;
}

function paintGrid(context: CanvasRenderingContext2D, view: Viewport, colours: Colours): void {
  context.fillStyle = colours.of('grid');
  for (const us of gridTimes(view)) context.fillRect(Math.round(xOf(view, us)), RULER, 1, view.height);
}

function paintRuler(context: CanvasRenderingContext2D, view: Viewport, colours: Colours): void {
  context.fillStyle = colours.of('panel');
  context.fillRect(0, 0, view.width, RULER);
  context.fillStyle = colours.of('muted');
  context.font = SMALL_FONT;
  context.textAlign = 'left';
  for (const us of gridTimes(view)) {
    const x = Math.round(xOf(view, us));
    context.fillRect(x, RULER - 6, 1, 6);
    context.fillText(us === 0 ? '0' : durationText(us), x + 4, RULER / 2);
  }
  context.fillRect(0, RULER - 1, view.width, 1);
}

function paintLabel(
  context: CanvasRenderingContext2D,
  { label, isInner, height, fill }: TimelineRow,
  top: number,
  colours: Colours,
): void {
  context.font = height < 18 ? SMALL_FONT : FONT;
  context.textAlign = 'left';
  context.fillStyle = colours.of(isInner || fill !== null ? 'muted' : 'text');
  const left = isInner ? 24 : 10;
  context.fillText(fitText(context, label, GUTTER - left - 8), left, top + height / 2);
}

/** Cuts the middle of a text that is too wide. */
function fitText(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  const characters = Array.from(text);
  for (let kept = Math.min(characters.length - 1, Math.floor(width / 4)); kept > 1; kept--) {
    const head = characters.slice(0, Math.ceil(kept / 2)).join('');
    const cut = `${head}…${characters.slice(-Math.floor(kept / 2)).join('')}`;
    if (context.measureText(cut).width <= width) return cut;
  }
  return '';
}

/** Calls that lie in one pixel are drawn once: what waits, or is stuck, goes before what does not. */
function paintTrack(
  context: CanvasRenderingContext2D,
  view: Viewport,
  { track, height }: TimelineRow,
  top: number,
  colours: Colours,
): void {
  const { calls, marks } = track!;
  const inset = height < 18 ? 1 : 3;
  const y = top + inset;
  const tall = height - 2 * inset;
  // A call that began long before may last until now; the calls of a track do not overlap.
  let index = Math.max(0, firstIndex(calls, ({ beginUs }) => beginUs >= view.fromUs) - 1);
  let lastX = -1;
  let lastRank = -1;
  for (; index < calls.length; index++) {
    const call = calls[index]!;
    if (call.beginUs > view.toUs) break;
    if (call.endUs < view.fromUs) continue;
    let left = Math.max(GUTTER - 2, xOf(view, call.beginUs));
    const right = Math.min(view.width + 2, xOf(view, call.endUs));
    const rank = call.isStuck ? 2 : call.blockedFromUs >= 0 ? 1 : 0;
    if (right - left < 1) {
      const x = Math.floor(left);
      if (x === lastX && rank <= lastRank) continue;
      lastX = x;
      lastRank = rank;
      // Between two pixels it would be pale.
      left = x;
    }
    paintCall(context, view, call, left, Math.max(1, right - left), y, tall, colours);
  }
  context.fillStyle = colours.of('mark');
  for (const { us } of marks) {
    if (us < view.fromUs || us > view.toUs) continue;
    const x = xOf(view, us);
    context.beginPath();
    context.moveTo(x, top + 1);
    context.lineTo(x + 4, top + 8);
    context.lineTo(x - 4, top + 8);
    context.fill();
  }
}

function paintCall(
  context: CanvasRenderingContext2D,
  view: Viewport,
  call: Call,
  left: number,
  width: number,
  y: number,
  height: number,
  colours: Colours,
): void {
  context.fillStyle = colours.of(kindOf(call.call));
  context.fillRect(left, y, width, height);
  if (call.blockedFromUs >= 0) {
    const from = Math.max(left, xOf(view, call.blockedFromUs));
    const to = Math.min(left + width, xOf(view, call.blockedToUs));
    context.fillStyle = colours.of(call.isStuck ? 'stuck' : 'blocked');
    context.fillRect(from, y, Math.max(width < 2 ? width : 1, to - from), height);
    if (call.isStuck && to - from > 6) paintHatch(context, from, to, y, height, colours);
  }
  const isSelected = call === view.selected;
  if (isSelected || call === view.hovered) {
    context.strokeStyle = colours.of('text');
    context.lineWidth = isSelected ? 2 : 1;
    context.strokeRect(left + 0.5, y + 0.5, Math.max(2, width - 1), height - 1);
  }
  if (width < 40 || height < 11) return;
  context.font = height < 14 ? SMALL_FONT : FONT;
  context.textAlign = 'left';
  context.fillStyle = colours.of(call.isStuck ? 'on-stuck' : 'on-call');
  context.fillText(fitText(context, `${call.call} ${call.object}`, width - 8), left + 4, y + height / 2);
}

/** Stripes tell a deadlock from a wait without colours. */
function paintHatch(
  context: CanvasRenderingContext2D,
  from: number,
  to: number,
  y: number,
  height: number,
  colours: Colours,
): void {
  context.save();
  context.beginPath();
  context.rect(from, y, to - from, height);
  context.clip();
  context.strokeStyle = colours.of('stuck-2');
  context.lineWidth = 3;
  context.beginPath();
  for (let x = from - height; x < to; x += 10) {
    context.moveTo(x, y + height);
    context.lineTo(x + height, y);
  }
  context.stroke();
  context.restore();
}

function paintFill(
  context: CanvasRenderingContext2D,
  view: Viewport,
  { us, bytes, most }: Fill,
  top: number,
  height: number,
  colours: Colours,
): void {
  if (most === 0) return;
  context.fillStyle = colours.of('fill');
  const bottom = top + height - 1;
  const scale = (height - 3) / most;
  let index = Math.max(0, firstIndex(us, (time) => time > view.fromUs) - 1);
  // The most of each pixel: a short peak is seen.
  let pixel = -1;
  let peak = 0;
  for (; index < us.length && us[index]! <= view.toUs; index++) {
    const left = Math.max(GUTTER, xOf(view, us[index]!));
    const right = Math.min(view.width, xOf(view, us[index + 1] ?? view.toUs));
    const value = bytes[index]!;
    if (Math.floor(left) !== pixel) peak = 0;
    pixel = Math.floor(left);
    if (right - left < 1 && value <= peak) continue;
    peak = Math.max(peak, value);
    if (value > 0) context.fillRect(left, bottom - value * scale, Math.max(1, right - left), value * scale);
  }
}

function paintArrows(
  context: CanvasRenderingContext2D,
  view: Viewport,
  rows: readonly TimelineRow[],
  arrows: readonly Arrow[],
  colours: Colours,
): void {
  const rowOf = new Map(rows.flatMap((row) => (row.track === null ? [] : [[row.track, row] as const])));
  const first = firstIndex(arrows, ({ fromUs }) => fromUs >= view.fromUs - (view.toUs - view.fromUs));
  const shown: Arrow[] = [];
  for (let index = first; index < arrows.length && arrows[index]!.fromUs <= view.toUs; index++) {
    const arrow = arrows[index]!;
    const { selected } = view;
    const isOfSelected =
      selected !== null &&
      (belongs(arrow.from, arrow.fromUs, selected) || belongs(arrow.to, arrow.toUs, selected));
    if (arrow.toUs >= view.fromUs && (shown.length < ARROWS + 1 || isOfSelected)) shown.push(arrow);
  }
  const areMany = shown.length > ARROWS;
  for (const arrow of shown) {
    const { selected } = view;
    const isOfSelected =
      selected !== null &&
      (belongs(arrow.from, arrow.fromUs, selected) || belongs(arrow.to, arrow.toUs, selected));
    if (areMany && !isOfSelected) continue;
    const from = rowOf.get(arrow.from);
    const to = rowOf.get(arrow.to);
    if (from === undefined || to === undefined || from === to) continue;
    context.strokeStyle = colours.of(isOfSelected ? 'text' : 'arrow');
    context.lineWidth = isOfSelected ? 2 : 1;
    paintArrow(
      context,
      xOf(view, arrow.fromUs),
      RULER + from.y + from.height / 2 - view.scrollY,
      xOf(view, arrow.toUs),
      RULER + to.y + to.height / 2 - view.scrollY,
    );
  }
}

function belongs(track: Call['track'], us: number, call: Call): boolean {
  return track === call.track && us >= call.beginUs && us <= call.endUs;
}

function paintArrow(context: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  const bend = Math.max(12, Math.min(60, Math.abs(x2 - x1) / 2));
  context.beginPath();
  context.moveTo(x1, y1);
  context.bezierCurveTo(x1 + bend, y1, x2 - bend, y2, x2, y2);
  context.moveTo(x2 - 6, y2 - 4);
  context.lineTo(x2, y2);
  context.lineTo(x2 - 6, y2 + 4);
  context.stroke();
}

/** Lost lines, deadlocks and the cursor, across all rows. */
function paintMoments(
  context: CanvasRenderingContext2D,
  view: Viewport,
  model: Model,
  colours: Colours,
): void {
  context.fillStyle = colours.of('blocked');
  for (const { us } of model.lost) context.fillRect(xOf(view, us) - 1, RULER, 2, view.height);
  context.fillStyle = colours.of('stuck');
  for (const { us } of model.deadlocks) context.fillRect(xOf(view, us) - 1, RULER, 2, view.height);
  context.fillStyle = colours.of('cursor');
  context.fillRect(Math.round(xOf(view, view.cursorUs)) - 1, RULER, 2, view.height);
}
