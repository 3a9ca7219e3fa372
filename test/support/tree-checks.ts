import { Resource } from '../../src/kern/accounting.ts';
import { assert } from '../../src/kern/assert.ts';
import type { Thread } from '../../src/kern/scheduler.ts';
import { KqueueHandle } from '../../src/kqueue/handle.ts';
import { ContentDirectory } from '../../src/tree/content.ts';
import type { FileSystem } from '../../src/tree/file-system.ts';
import { PairDirectory, PairEndNode } from '../../src/tree/pairs.ts';
import { PipeNode } from '../../src/tree/pipes.ts';
import { walkTree } from '../../src/vfs/directory.ts';
import { type Node, SymbolicLink } from '../../src/vfs/node.ts';
import type { OpenFile } from '../../src/vfs/open-file.ts';
import { checkHandles, Ledger } from './ledger.ts';

class Counts {
  readonly #counts = new Map<Node, number>();

  add(node: Node): void {
    this.#counts.set(node, this.of(node) + 1);
  }

  of(node: Node): number {
    return this.#counts.get(node) ?? 0;
  }
}

/**
 * Readers, writers and openers are the open files: those of pipes count while they sleep in their open, too, and in the close that stores
 * the line they have begun.
 */
function checkOpeners(nodes: readonly Node[], { openFiles }: FileSystem, calls: readonly FileCall[]): void {
  const readers = new Counts();
  const writers = new Counts();
  const ends = new Counts();
  const closing = calls.flatMap(({ released }) => released ?? []);
  for (const { node, writable } of closing) if (node instanceof PipeNode && writable) writers.add(node);
  for (const { node, data, readable, writable } of openFiles.all()) {
    // A fault holds the open back: the object has not heard of it.
    if (data === null) continue;
    if (data instanceof KqueueHandle) assert(!data.kqueue.isTerminated, 'an open file keeps its kqueue');
    if (node instanceof PairEndNode) ends.add(node);
    if (!(node instanceof PipeNode)) continue;
    if (readable) readers.add(node);
    if (writable) writers.add(node);
  }
  for (const node of nodes) {
    if (node instanceof PairEndNode) {
      assert(node.openCount === ends.of(node), 'an end of a pair counts its open files');
    } else if (node instanceof PipeNode) {
      const { holders } = node.fifo;
      assert(node.fifo.readers === readers.of(node) + holders, 'a named pipe counts its readers');
      assert(node.fifo.writers === writers.of(node) + holders, 'a named pipe counts its writers');
    }
  }
}

function checkAccounts(nodes: readonly Node[], fileSystem: FileSystem, threads: readonly Thread[]): void {
  const { accounts } = fileSystem.kernel;
  const ledger = new Ledger();
  for (const node of nodes) {
    for (const { account } of node.names) if (account !== null) ledger.add(account, Resource.Names);
    if (node instanceof PipeNode || node instanceof PairDirectory) ledger.add(node.account, Resource.Pipes);
    if (node instanceof SymbolicLink && node.account !== null) {
      ledger.add(node.account, Resource.HeldBytes, node.target.length);
    }
  }
  ledger.addPipes(fileSystem.pipes);
  ledger.addKqueues(fileSystem.kqueues);
  ledger.addSegments(fileSystem.shm);
  ledger.addFiles(fileSystem.openFiles.all());
  ledger.addLocks(fileSystem.context.locks);
  ledger.addFaults(fileSystem.faults);
  ledger.addThreads(threads);
  ledger.addHeldBack(accounts, threads);
  ledger.check(accounts);
}

/** A call that sleeps, perhaps on an open file. */
type FileCall = Thread & { readonly file: OpenFile | null; readonly released?: OpenFile | null };

/**
 * Everything that holds between two requests in the tree, its open files, the engines below it and the accounts. `threads`: the
 * calls that sleep.
 */
export function checkFileSystem(fileSystem: FileSystem, threads: Iterable<FileCall>): void {
  const calls = [...threads];
  const nodes = [...walkTree(fileSystem.root)];
  for (const node of nodes) node.checkInvariants();
  // A view is another look at a file that has been counted.
  const named = nodes.filter((node) => !(node instanceof ContentDirectory));
  assert(named.length === fileSystem.context.liveInodes, 'nodes with a name are counted');
  fileSystem.pipes.checkInvariants();
  fileSystem.kqueues.checkInvariants();
  fileSystem.shm.checkInvariants();
  fileSystem.openFiles.checkInvariants();
  fileSystem.segmentFiles.checkInvariants();
  fileSystem.kernel.callouts.checkInvariants();
  const busy = new Set(Array.from(calls, ({ file }) => file));
  checkHandles(fileSystem.openFiles.all(), (file) => busy.has(file));
  checkOpeners(nodes, fileSystem, calls);
  checkAccounts(nodes, fileSystem, calls);
}
