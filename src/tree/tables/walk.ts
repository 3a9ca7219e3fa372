import { Directory } from '../../vfs/directory.ts';
import type { Node } from '../../vfs/node.ts';

/** Every node below `directory`, each directory before what is in it. */
export function* walk(directory: Directory): Iterable<Node> {
  // With a stack of its own: users may nest directories more deeply than calls can be nested.
  const stack = [directory.entries.values()];
  while (stack.length > 0) {
    const next = stack.at(-1)!.next();
    if (next.done === true) {
      stack.pop();
      continue;
    }
    if (next.value instanceof Directory) stack.push(next.value.entries.values());
    yield next.value;
  }
}
