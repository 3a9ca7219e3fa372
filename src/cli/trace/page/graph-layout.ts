import { components, type Graph, type GraphEdge, type GraphNode } from './graph.ts';

/** What this page uses of dagre, which is a script of its own in the page. */
interface Dagre {
  readonly Graph: new () => DagreGraph;
  layout(graph: DagreGraph): void;
}

interface DagreGraph {
  setGraph(options: Readonly<Record<string, unknown>>): void;
  setDefaultEdgeLabel(label: () => object): void;
  setNode(id: string, node: { readonly width: number; readonly height: number }): void;
  setEdge(from: string, to: string): void;
  node(id: string): { readonly x: number; readonly y: number };
}

declare const dagre: Dagre;

export interface Place {
  readonly x: number;
  readonly y: number;
}

export interface GraphLayout {
  /** The middle of each node. */
  readonly places: ReadonlyMap<GraphNode, Place>;
  readonly width: number;
  readonly height: number;
}

export const NODE_HEIGHT = 26;
const LETTER_PX = 7.2;
const NARROWEST_PX = 60;
const WIDEST_PX = 240;
const NODE_GAP = 14;
const RANK_GAP = 56;
const GROUP_GAP = 28;
/** How much longer or higher than its place a group may be. */
const MOST_STRETCH = 4;
/** What dagre lays out in a second; larger groups get three columns. */
const MOST_FOR_DAGRE = 700;

export function widthOf({ label }: GraphNode): number {
  return Math.min(WIDEST_PX, Math.max(NARROWEST_PX, label.length * LETTER_PX + 22));
}

/**
 * Lays out each group from left to right, as bytes go, and puts the groups side by side. `shape`: width by height of where it is drawn.
 */
export function layOutGraph(graph: Graph, shape: number): GraphLayout {
  const edgesOf = new Map<GraphNode, GraphEdge[]>(graph.nodes.map((node) => [node, []]));
  for (const edge of graph.edges) edgesOf.get(edge.process)!.push(edge);
  const groups = components(graph).map((nodes) => {
    const edges = nodes.flatMap((node) => edgesOf.get(node)!);
    return fold(nodes.length > MOST_FOR_DAGRE ? inColumns(nodes, edges) : byDagre(nodes, edges), shape);
  });
  return pack(groups, shape);
}

function byDagre(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): GraphLayout {
  const drawn = new dagre.Graph();
  drawn.setGraph({ rankdir: 'LR', nodesep: NODE_GAP, ranksep: RANK_GAP });
  drawn.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) drawn.setNode(node.id, { width: widthOf(node), height: NODE_HEIGHT });
  for (const { process, object, isWrite } of edges) {
    if (isWrite) drawn.setEdge(process.id, object.id);
    else drawn.setEdge(object.id, process.id);
  }
  dagre.layout(drawn);
  return bounded(new Map(nodes.map((node) => [node, drawn.node(node.id)])));
}

/** Writers, objects, readers. */
function inColumns(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): GraphLayout {
  const writers = new Set(edges.flatMap(({ process, isWrite }) => (isWrite ? [process] : [])));
  const places = new Map<GraphNode, Place>();
  const counts = [0, 0, 0];
  for (const node of nodes) {
    const column = node.process === null ? 1 : writers.has(node) ? 0 : 2;
    places.set(node, { x: column * (WIDEST_PX + RANK_GAP), y: counts[column]!++ * (NODE_HEIGHT + NODE_GAP) });
  }
  return bounded(places);
}

/** Moves the left upper corner to 0, 0. */
function bounded(places: ReadonlyMap<GraphNode, Place>): GraphLayout {
  let [left, top, right, bottom] = [Infinity, Infinity, 0, 0];
  for (const [node, { x, y }] of places) {
    const half = widthOf(node) / 2;
    left = Math.min(left, x - half);
    right = Math.max(right, x + half);
    top = Math.min(top, y - NODE_HEIGHT / 2);
    bottom = Math.max(bottom, y + NODE_HEIGHT / 2);
  }
  const moved = new Map([...places].map(([node, { x, y }]) => [node, { x: x - left, y: y - top }]));
  return { places: moved, width: right - left, height: bottom - top };
}

/** A group that is much longer or higher than its place, as lines or columns of text. */
function fold(group: GraphLayout, shape: number): GraphLayout {
  const ratio = group.width / Math.max(1, group.height) / shape;
  if (ratio < MOST_STRETCH && ratio > 1 / MOST_STRETCH) return group;
  const isLong = ratio > 1;
  const parts = Math.ceil(Math.sqrt(isLong ? ratio : 1 / ratio));
  const places = new Map<GraphNode, Place>();
  for (const [node, { x, y }] of group.places) {
    const part = Math.min(
      parts - 1,
      Math.floor(((isLong ? x : y) / (isLong ? group.width : group.height)) * parts),
    );
    places.set(
      node,
      isLong
        ? { x: x - (part * group.width) / parts, y: y + part * (group.height + GROUP_GAP) }
        : { x: x + part * (group.width + GROUP_GAP), y: y - (part * group.height) / parts },
    );
  }
  return bounded(places);
}

/** Fills lines of one width, as words fill a page. */
function pack(groups: readonly GraphLayout[], shape: number): GraphLayout {
  const area = groups.reduce((sum, { width, height }) => sum + (width + GROUP_GAP) * (height + GROUP_GAP), 0);
  const lineWidth = Math.max(Math.sqrt(area * shape), ...groups.map(({ width }) => width));
  const places = new Map<GraphNode, Place>();
  let [x, y, lineHeight, right] = [0, 0, 0, 0];
  for (const group of groups) {
    if (x > 0 && x + group.width > lineWidth) {
      y += lineHeight + GROUP_GAP;
      [x, lineHeight] = [0, 0];
    }
    for (const [node, place] of group.places) places.set(node, { x: x + place.x, y: y + place.y });
    right = Math.max(right, x + group.width);
    x += group.width + GROUP_GAP;
    lineHeight = Math.max(lineHeight, group.height);
  }
  return { places, width: right, height: y + lineHeight };
}
