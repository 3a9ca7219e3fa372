/**
 * The strongly connected components of a directed graph that no edge leaves, by Tarjan's algorithm; without recursion, as chains can
 * be longer than calls can be nested. Every edge leads to a key of `edges`.
 */
export function terminalComponents(edges: ReadonlyMap<number, ReadonlySet<number>>): number[][] {
  const found: number[][] = [];
  /** In the order in which vertices are met. */
  const order = new Map<number, number>();
  /** The earliest vertex still open that a vertex leads back to. */
  const low = new Map<number, number>();
  const open: number[] = [];
  const isOpen = new Set<number>();
  const path: { readonly vertex: number; readonly rest: Iterator<number> }[] = [];

  const enter = (vertex: number): void => {
    order.set(vertex, order.size);
    low.set(vertex, order.get(vertex)!);
    open.push(vertex);
    isOpen.add(vertex);
    path.push({ vertex, rest: edges.get(vertex)!.values() });
  };
  const lower = (vertex: number, to: number): void => {
    if (to < low.get(vertex)!) low.set(vertex, to);
  };
  const leave = (vertex: number): void => {
    const parent = path.at(-1);
    if (parent !== undefined) lower(parent.vertex, low.get(vertex)!);
    if (low.get(vertex) !== order.get(vertex)) return;
    const component = open.splice(open.lastIndexOf(vertex));
    for (const member of component) isOpen.delete(member);
    const isMember = new Set(component);
    if (component.every((member) => [...edges.get(member)!].every((to) => isMember.has(to)))) {
      found.push(component);
    }
  };

  for (const start of edges.keys()) {
    if (order.has(start)) continue;
    enter(start);
    while (path.length > 0) {
      const { vertex, rest } = path.at(-1)!;
      const next = rest.next();
      if (next.done === true) {
        path.pop();
        leave(vertex);
      } else if (!order.has(next.value)) {
        enter(next.value);
      } else if (isOpen.has(next.value)) {
        lower(vertex, order.get(next.value)!);
      }
    }
  }
  return found;
}
