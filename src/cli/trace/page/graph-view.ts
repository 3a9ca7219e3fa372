import { buildGraph, type Graph, type GraphEdge, type GraphNode, streamOf } from './graph.ts';
import { type GraphLayout, layOutGraph, NODE_HEIGHT, type Place, widthOf } from './graph-layout.ts';
import { firstIndex } from './layout.ts';
import { type Call, type Model, type Process, processLabel } from './model.ts';

const SVG = 'http://www.w3.org/2000/svg';
const MARGIN = 20;
const ZOOM = 1.4;
const PAN_PART = 0.15;
const LETTERS = 30;
const CLOSEST = 8;

export interface GraphListener {
  /** A process was chosen: the call that it is in, or its last one. */
  chosen(call: Call): void;
}

interface Drawn {
  readonly element: SVGElement;
}

/** The part of the layout that is shown. */
interface View {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The graph of processes and objects, and who waits at one moment. */
export class GraphView {
  readonly #svg: SVGSVGElement;
  readonly #model: Model;
  readonly #graph: Graph;
  readonly #layout: GraphLayout;
  readonly #nodes = new Map<GraphNode, Drawn>();
  readonly #edges = new Map<GraphEdge, Drawn>();
  readonly #titles = new Map<GraphNode, SVGTitleElement>();
  readonly #listener: GraphListener;
  #atUs = 0;
  #view: View = { x: 0, y: 0, width: 1, height: 1 };

  constructor(svg: SVGSVGElement, model: Model, listener: GraphListener) {
    this.#svg = svg;
    this.#model = model;
    this.#listener = listener;
    this.#graph = buildGraph(model);
    this.#layout = layOutGraph(this.#graph, Math.max(1, svg.clientWidth / Math.max(1, svg.clientHeight)));
    this.#draw();
    this.showAll();
    this.#listen();
  }

  get hiddenCount(): number {
    return this.#graph.hidden;
  }

  get nodeCount(): number {
    return this.#graph.nodes.length;
  }

  showAll(): void {
    const { width, height } = this.#layout;
    // What is small is not blown up.
    const { clientWidth, clientHeight } = this.#svg;
    const shownWidth = Math.max(width + 2 * MARGIN, clientWidth * 0.8);
    const shownHeight = Math.max(height + 2 * MARGIN, clientHeight * 0.8);
    this.#show((width - shownWidth) / 2, (height - shownHeight) / 2, shownWidth, shownHeight);
  }

  /** Marks who waits for what at a moment. Returns how many processes do. */
  at(us: number): number {
    this.#atUs = us;
    const waiting = new Map<Process, Call>();
    for (const process of this.#model.processes) {
      const call = waitOf(process, us);
      if (call !== null) waiting.set(process, call);
    }
    const deadlocks = this.#model.deadlocks.filter(
      (deadlock) => deadlock.us <= us && deadlock.calls.every((call) => call.endUs >= us),
    );
    const stuckIds = new Set(deadlocks.flatMap(({ stuck }) => stuck.map(({ process }) => process)));
    const stuckStreams = new Set(
      deadlocks.flatMap(({ stuck }) => stuck.map(({ object, call }) => streamOf(object, call))),
    );
    for (const [node, { element }] of this.#nodes) {
      const call = node.process === null ? undefined : waiting.get(node.process);
      const isStuck = node.process === null ? stuckStreams.has(node.label) : stuckIds.has(node.process.id);
      element.classList.toggle('waits', call !== undefined);
      element.classList.toggle('stuck', isStuck);
      this.#titles.get(node)!.textContent = titleOf(node, call ?? null);
    }
    for (const [{ process, object, isWrite }, { element }] of this.#edges) {
      const call = waiting.get(process.process!);
      const isWaiting = call !== undefined && waitsAt(call, object.label, isWrite);
      element.classList.toggle('waits', isWaiting);
      const isStuck = stuckIds.has(process.process!.id) && stuckStreams.has(object.label);
      element.classList.toggle('stuck', isStuck);
    }
    return waiting.size;
  }

  focus(processes: readonly number[]): void {
    const nodes = [...this.#nodes.keys()].filter(
      ({ process }) => process !== null && processes.includes(process.id),
    );
    const places = nodes.map((node) => this.#layout.places.get(node)!);
    if (places.length === 0) return;
    const [left, right] = extent(places.map(({ x }) => x));
    const [top, bottom] = extent(places.map(({ y }) => y));
    const width = Math.max(right - left + 320, this.#svg.clientWidth * 0.8);
    const height = Math.max(bottom - top + 120, this.#svg.clientHeight * 0.8);
    this.#show((left + right - width) / 2, (top + bottom - height) / 2, width, height);
  }

  #draw(): void {
    for (const edge of this.#graph.edges) this.#drawEdge(edge);
    for (const node of this.#graph.nodes) this.#drawNode(node);
  }

  #drawEdge(edge: GraphEdge): void {
    const { process, object, isWrite, bytes, calls } = edge;
    const from = isWrite ? process : object;
    const to = isWrite ? object : process;
    const path = add(this.#svg, 'path', {
      class: bytes > 0 ? 'edge' : 'edge idle',
      'marker-end': 'url(#arrow)',
    });
    path.setAttribute(
      'd',
      curve(this.#layout.places.get(from)!, widthOf(from), this.#layout.places.get(to)!, widthOf(to)),
    );
    const verb = isWrite ? 'writes' : 'reads';
    add(path, 'title').textContent =
      `${process.label} ${verb} ${object.label}: ${bytes} bytes in ${calls} calls`;
    this.#edges.set(edge, { element: path });
  }

  #drawNode(node: GraphNode): void {
    const { x, y } = this.#layout.places.get(node)!;
    const width = widthOf(node);
    const group = add(this.#svg, 'g', {
      class: node.process === null ? 'node object' : 'node process',
      transform: `translate(${x - width / 2} ${y - NODE_HEIGHT / 2})`,
    });
    const round = String(node.process === null ? NODE_HEIGHT / 2 : 4);
    add(group, 'rect', { width: String(width), height: String(NODE_HEIGHT), rx: round, ry: round });
    const text = add(group, 'text', { x: String(width / 2), y: String(NODE_HEIGHT / 2) });
    text.textContent = cut(node.label);
    const title = add(group, 'title');
    title.textContent = node.label;
    this.#titles.set(node, title);
    this.#nodes.set(node, { element: group });
    const { process } = node;
    if (process === null) return;
    group.setAttribute('tabindex', '0');
    group.setAttribute('role', 'button');
    group.setAttribute('aria-label', processLabel(process));
    const choose = (): void => {
      const call = waitOf(process, this.#atUs) ?? lastCall(process, this.#atUs);
      if (call !== null) this.#listener.chosen(call);
    };
    group.addEventListener('click', choose);
    group.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') choose();
    });
  }

  #show(x: number, y: number, width: number, height: number): void {
    this.#view = { x, y, width, height };
    this.#svg.setAttribute('viewBox', `${x} ${y} ${width} ${height}`);
  }

  /** `px`, `py`: what keeps its place, as parts of the view. */
  zoom(factor: number, px = 0.5, py = 0.5): void {
    const { x, y, width, height } = this.#view;
    const most = Math.max(this.#layout.width, this.#layout.height) * 4 + this.#svg.clientWidth;
    const newWidth = Math.max(this.#svg.clientWidth / CLOSEST, Math.min(most, width / factor));
    const newHeight = (height * newWidth) / width;
    this.#show(x + (width - newWidth) * px, y + (height - newHeight) * py, newWidth, newHeight);
  }

  /** Keys of the focused graph; false for one that it does not know. */
  press(key: string): boolean {
    const { x, y, width, height } = this.#view;
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-PAN_PART, 0],
      ArrowRight: [PAN_PART, 0],
      ArrowUp: [0, -PAN_PART],
      ArrowDown: [0, PAN_PART],
    };
    const move = moves[key];
    if (move !== undefined) this.#show(x + move[0] * width, y + move[1] * height, width, height);
    else if (key === '+' || key === '=') this.zoom(ZOOM);
    else if (key === '-') this.zoom(1 / ZOOM);
    else if (key === '0' || key === 'Home') this.showAll();
    else return false;
    return true;
  }

  #listen(): void {
    const svg = this.#svg;
    let pressed: { x: number; y: number; view: View } | null = null;
    svg.addEventListener('pointerdown', (event) => {
      pressed = { x: event.clientX, y: event.clientY, view: this.#view };
    });
    svg.addEventListener('pointermove', (event) => {
      if (pressed === null || event.buttons === 0) return;
      const { view } = pressed;
      const scale = Math.max(view.width / svg.clientWidth, view.height / svg.clientHeight);
      this.#show(
        view.x + (pressed.x - event.clientX) * scale,
        view.y + (pressed.y - event.clientY) * scale,
        view.width,
        view.height,
      );
    });
    svg.addEventListener('pointerup', () => {
      pressed = null;
    });
    svg.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault();
        const box = svg.getBoundingClientRect();
        this.zoom(
          ZOOM ** (-event.deltaY / 100),
          (event.clientX - box.left) / box.width,
          (event.clientY - box.top) / box.height,
        );
      },
      { passive: false },
    );
    svg.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.press(event.key)) event.preventDefault();
    });
  }
}

function add(parent: Element, name: string, attributes: Readonly<Record<string, string>> = {}): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

function cut(label: string): string {
  const characters = Array.from(label);
  if (characters.length <= LETTERS) return label;
  return `${characters.slice(0, LETTERS / 2).join('')}…${characters.slice(-LETTERS / 2 + 1).join('')}`;
}

function curve(from: Place, fromWidth: number, to: Place, toWidth: number): string {
  const isBack = to.x < from.x;
  const x1 = from.x + (isBack ? -fromWidth / 2 : fromWidth / 2);
  const x2 = to.x + (isBack ? toWidth / 2 + 5 : -toWidth / 2 - 5);
  // What goes back passes below what goes forth.
  const bend = isBack ? NODE_HEIGHT : 0;
  const middle = (x1 + x2) / 2;
  return `M${x1} ${from.y}C${middle} ${from.y + bend} ${middle} ${to.y + bend} ${x2} ${to.y}`;
}

function extent(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)];
}

/** The call in which a process waits at a moment; null when it does not. */
function waitOf(process: Process, us: number): Call | null {
  for (const { calls } of process.tracks) {
    const call = calls[firstIndex(calls, ({ endUs }) => endUs >= us)];
    if (call !== undefined && call.blockedFromUs >= 0 && call.blockedFromUs <= us && call.blockedToUs >= us)
      return call;
  }
  return null;
}

function lastCall(process: Process, us: number): Call | null {
  for (const { calls } of process.tracks) {
    const call = calls[firstIndex(calls, ({ beginUs }) => beginUs > us) - 1] ?? calls[0];
    if (call !== undefined) return call;
  }
  return null;
}

function waitsAt({ call, object }: Call, stream: string, isWrite: boolean): boolean {
  if (call === 'open' || call === 'create') return object === stream;
  return streamOf(object, call) === stream && (call === 'write') === isWrite;
}

function titleOf({ label }: GraphNode, call: Call | null): string {
  return call === null ? label : `${label} waits in ${call.call} of ${call.object} (${call.wait})`;
}
