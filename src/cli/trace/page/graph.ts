import { type Model, type Process, processLabel } from './model.ts';

/** A process, or an object that processes have used. */
export interface GraphNode {
  readonly id: string;
  readonly label: string;
  readonly process: Process | null;
  /** Calls that it makes, or that are made on it. */
  calls: number;
}

/** How a process uses an object. The direction is that of the bytes. */
export interface GraphEdge {
  readonly process: GraphNode;
  readonly object: GraphNode;
  readonly isWrite: boolean;
  bytes: number;
  calls: number;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  /** Nodes that are left out: there are too many to see anything. */
  readonly hidden: number;
}

/** More nodes are no picture any more: the busiest are shown. */
const MOST_NODES = 1200;
const OBJECT = /^(?:pipes|pairs|kqueues|shm)\/|^kqueue(?:\.bin)?$/;

/** Who moves bytes through what, or has it open to do so. */
export function buildGraph(model: Model): Graph {
  const nodes = new Map<string, GraphNode>();
  const edges = new Map<string, GraphEdge>();
  const nodeOf = (id: string, label: string, process: Process | null): GraphNode => {
    let node = nodes.get(id);
    if (node === undefined) nodes.set(id, (node = { id, label, process, calls: 0 }));
    return node;
  };
  const use = (process: Process, path: string, isWrite: boolean, bytes: number): void => {
    const object = nodeOf(`o ${path}`, path, null);
    const user = nodeOf(`p ${process.id}`, processLabel(process), process);
    const key = `${user.id} ${isWrite ? 'w' : 'r'} ${object.id}`;
    let edge = edges.get(key);
    if (edge === undefined) edges.set(key, (edge = { process: user, object, isWrite, bytes: 0, calls: 0 }));
    edge.bytes += bytes;
    edge.calls++;
    user.calls++;
    object.calls++;
  };
  for (const process of model.processes) {
    for (const { calls } of process.tracks) {
      for (const { call, object, result, details, wait, isOpen } of calls) {
        if (!OBJECT.test(object)) continue;
        if (call === 'read' || call === 'write') {
          use(process, streamOf(object, call), call === 'write', isOpen ? 0 : Math.max(0, result));
        } else if ((call === 'open' || call === 'create') && (result >= 0 || wait !== '')) {
          const access = /flags=(rdonly|wronly|rdwr)/.exec(details)?.[1];
          // One that still waits has told only what for.
          const isReader = access === 'rdonly' || access === 'rdwr' || wait === 'fifoor';
          const isWriter = access === 'wronly' || access === 'rdwr' || wait === 'fifoow';
          if (isReader) use(process, streamOf(object, 'read'), false, 0);
          if (isWriter) use(process, object, true, 0);
        }
      }
    }
  }
  for (const { stuck } of model.deadlocks) addStuck(model, stuck, use);
  const all = [...nodes.values()];
  if (all.length <= MOST_NODES) return { nodes: all, edges: [...edges.values()], hidden: 0 };
  const shown = new Set(all.sort((a, b) => b.calls - a.calls).slice(0, MOST_NODES));
  return {
    nodes: [...shown],
    edges: [...edges.values()].filter(({ process, object }) => shown.has(process) && shown.has(object)),
    hidden: all.length - MOST_NODES,
  };
}

/** Who is stuck belongs to the picture, and so does who could end it, even when neither has moved a byte. */
function addStuck(
  model: Model,
  stuck: Model['deadlocks'][number]['stuck'],
  use: (process: Process, path: string, isWrite: boolean, bytes: number) => void,
): void {
  const byId = new Map(model.processes.map((process) => [process.id, process]));
  for (const { process: id, object, call, enders } of stuck) {
    const process = byId.get(id);
    if (process !== undefined && call !== 'open') use(process, streamOf(object, call), call === 'write', 0);
    for (const ender of enders) {
      const other = byId.get(ender);
      if (other !== undefined && call !== 'open') use(other, streamOf(object, call), call !== 'write', 0);
    }
  }
}

/** The stream that a call moves bytes of: of an end of a pair, reads get what is written to the other end. */
export function streamOf(object: string, call: string): string {
  if (call !== 'read' || !object.startsWith('pairs/')) return object;
  return object.replace(/([01])$/, (end) => (end === '0' ? '1' : '0'));
}

/** Nodes that hang together, the largest group first. */
export function components({ nodes, edges }: Graph): GraphNode[][] {
  const groupOf = new Map<GraphNode, GraphNode[]>(nodes.map((node) => [node, [node]]));
  for (const { process, object } of edges) {
    const one = groupOf.get(process)!;
    const other = groupOf.get(object)!;
    if (one === other) continue;
    const [large, small] = one.length >= other.length ? [one, other] : [other, one];
    for (const node of small) {
      large.push(node);
      groupOf.set(node, large);
    }
  }
  return [...new Set(groupOf.values())].sort((a, b) => b.length - a.length);
}
