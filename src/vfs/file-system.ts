import type { Credentials } from '../kern/credentials.ts';
import { EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';
import type { Operation } from '../kern/operation.ts';
import type { ProcessEvents } from '../kern/process-events.ts';
import { noteRename } from '../kqueue/filters/vnode-notes.ts';
import { KqueueSubsystem } from '../kqueue/system.ts';
import { PAGE_SIZE_BYTES } from '../pipe/budget.ts';
import { PipeSubsystem } from '../pipe/subsystem.ts';
import { ShmSubsystem } from '../shm/subsystem.ts';
import { contentDirectory } from './content.ts';
import { checkName, Directory } from './directory.ts';
import { handlesTable, pipesTable } from './info.ts';
import { type Name, type Node, NodeContext } from './node.ts';
import { OpenFileTable } from './open-file.ts';
import { PairsDirectory } from './pairs.ts';
import { PipesDirectory } from './pipes.ts';
import { registerQuotas, usersTable } from './quotas.ts';
import { SegmentKeyDirectory } from './segment-directories.ts';
import { KqueueControl, KqueuesDirectory } from './kqueues.ts';
import { knotesTable, kqueuesTable } from './kqueue-tables.ts';
import { type HandleFinder, TreeResolver } from './watching.ts';
import { segmentsTable } from './segment-table.ts';
import { type BlockedCall, waitsTable } from './waits.ts';
import { SegmentFiles } from './segment-files.ts';
import { HeapStorageMemory, type StorageMemory } from '../shm/storage.ts';
import { WriteMemory } from './write-memory.ts';
import { sysctlsTable, sysctlTree } from './sysctls.ts';
import type { Work } from './work.ts';
import { MadeFile } from './made-file.ts';
import {
  formatMetrics,
  formatMetricsJson,
  type MetricSources,
  type TransportCounter,
} from './metric-families.ts';
import { OperationMetrics } from './metrics.ts';
import { formatTable, formatTableJson, type Table } from './table.ts';

const STICKY_SHARED = 0o1777;
const FIXED = 0o755;
const READ_ONLY = 0o555;
const MAX_OPEN_FILES = 1_000_000;
/** What statfs shows as the number of files there can be: as good as no limit. */
const MAX_FILES = 2 ** 32 - 1;

export interface RenameOptions {
  /** Fail with EEXIST rather than replace (RENAME_NOREPLACE). */
  readonly noReplace: boolean;
}

/** Who mounted the tree and owns its fixed directories, and what serves it. */
export interface MountIdentity {
  readonly uid: number;
  readonly gid: number;
  readonly version: string;
  /** The serving process. */
  readonly pid: number;
}

/** The tree of one mount, its subsystems and its open files. */
export class FileSystem {
  readonly kernel: Kernel;
  readonly pipes: PipeSubsystem;
  readonly shm: ShmSubsystem;
  readonly kqueues: KqueueSubsystem;
  readonly context: NodeContext;
  readonly root: Directory;
  readonly writeMemory: WriteMemory;
  readonly openFiles: OpenFileTable;
  /** What info/metrics shows of operations; the transport reports them. */
  readonly operations = new OperationMetrics();
  /** What info/metrics shows of the transport itself; set by it. */
  transportCounters: () => Iterable<TransportCounter> = () => [];
  /** What info/transport shows; set by the transport. */
  transportFacts: () => Iterable<readonly [string, string | number]> = () => [];
  /** Which processes map which inodes of this mount now; set where the host can tell. */
  findMappers: (() => Operation<ReadonlyMap<number, readonly number[]>>) | null = null;
  /** Which open file a process's descriptor is; set where the host can tell. */
  findHandle: HandleFinder | null = null;
  /** Lists the calls that wait; set by the transport, which has them. */
  blockedCalls: () => Iterable<BlockedCall> = () => [];

  constructor(
    kernel: Kernel,
    identity: MountIdentity,
    memory: StorageMemory = new HeapStorageMemory(),
    processEvents: ProcessEvents | null = null,
  ) {
    this.kernel = kernel;
    this.openFiles = new OpenFileTable(MAX_OPEN_FILES, kernel.accounts);
    this.pipes = new PipeSubsystem(kernel);
    this.writeMemory = new WriteMemory(kernel);
    this.context = new NodeContext(kernel);
    const owner = { uid: identity.uid, gid: identity.gid };
    const shared = { mode: STICKY_SHARED, ...owner };
    this.root = new Directory(this.context, { mode: FIXED, ...owner });
    const pipes = new PipesDirectory(this.context, this.pipes, shared);
    const pairs = new PairsDirectory(this.context, this.pipes, shared);
    this.root.add('pipes', pipes);
    this.root.add('pairs', pairs);
    this.shm = new ShmSubsystem(kernel, memory);
    const segmentFiles = new SegmentFiles(this.context, this.shm, memory);
    const segments = new SegmentKeyDirectory(this.context, segmentFiles, shared);
    this.root.add('shm', segments);
    this.kqueues = new KqueueSubsystem(kernel, {
      resolver: new TreeResolver(this.root, this.openFiles, () => this.findHandle),
      processEvents,
      processOf: (threadId) => kernel.host.processOf(threadId),
    });
    const kqueues = new KqueuesDirectory(this.context, this.kqueues, shared);
    this.root.add('kqueue', new KqueueControl(this.context, this.kqueues, 'text'));
    this.root.add('kqueue.bin', new KqueueControl(this.context, this.kqueues, 'binary'));
    this.root.add('kqueues', kqueues);
    kernel.accounts.exempt(identity.uid);
    registerQuotas(kernel.accounts, kernel.sysctls);
    this.root.add('sysctl', sysctlTree(this.context, kernel.sysctls));
    const info = new Directory(this.context, { mode: READ_ONLY, ...owner });
    this.root.add('info', info);
    const tables: Table[] = [
      {
        name: 'version',
        columns: ['name', 'version', 'pid'],
        rows: () => [['ipcfs', identity.version, identity.pid]],
      },
      {
        name: 'transport',
        columns: ['name', 'value'],
        rows: () => this.transportFacts(),
      },
      sysctlsTable(kernel.sysctls),
      pipesTable(pipes, pairs),
      kqueuesTable(this.kqueues, kqueues),
      knotesTable(this.kqueues, kqueues),
      segmentsTable(segmentFiles, () => this.findMappers),
      handlesTable(this.openFiles),
      usersTable(kernel.accounts),
      waitsTable(
        () => this.blockedCalls(),
        () => kernel.host.clock.monotonicMs(),
        (threadId) => kernel.host.describeThread(threadId),
        segmentFiles,
      ),
    ];
    for (const table of tables) {
      const prepare = table.prepare?.bind(table);
      const add = (name: string, lines: (viewer: Credentials) => Work<readonly string[]>): void => {
        info.add(name, new MadeFile(this.context, prepare === undefined ? { lines } : { prepare, lines }));
      };
      add(table.name, (viewer) => formatTable(table, viewer));
      add(`${table.name}.json`, (viewer) => formatTableJson(table, viewer));
    }
    const sources: MetricSources = {
      host: kernel.host,
      version: identity.version,
      operations: this.operations,
      pipes,
      pairs,
      budget: this.pipes.budget,
      segments: this.shm.table,
      kqueues: this.kqueues,
      openFileCount: () => this.openFiles.size,
      nodeCount: () => this.context.liveInodes,
      blockedCalls: () => this.blockedCalls(),
      transportCounters: () => this.transportCounters(),
    };
    info.add('metrics', new MadeFile(this.context, { lines: () => formatMetrics(sources) }));
    info.add('metrics.json', new MadeFile(this.context, { lines: () => formatMetricsJson(sources) }));
    const content = { mode: READ_ONLY, ...owner };
    info.add('content', contentDirectory(this.context, content, { pipes, pairs, shm: segments }));
  }

  /** What statfs shows: pipe memory as blocks. */
  statistics(): {
    blockSizeBytes: number;
    blocks: number;
    freeBlocks: number;
    files: number;
    freeFiles: number;
  } {
    const { maximumBytes, usedBytes } = this.pipes.budget;
    return {
      blockSizeBytes: PAGE_SIZE_BYTES,
      blocks: Math.floor(maximumBytes / PAGE_SIZE_BYTES),
      freeBlocks: Math.floor((maximumBytes - usedBytes) / PAGE_SIZE_BYTES),
      files: MAX_FILES,
      freeFiles: MAX_FILES - this.context.liveInodes,
    };
  }

  /** link(2). 0 or a negative errno; EXDEV between trees, as between file systems. */
  link(node: Node, directory: Directory, name: Name, credentials: Credentials): number {
    const from = node.names[0]?.directory;
    // Names of segments and of views are not entries of a directory.
    if (from === undefined) return node.linkCount === 0 ? -ENOENT : -EPERM;
    if (from.domain === null || from.domain !== directory.domain) return -EXDEV;
    if (node instanceof Directory) return -EPERM;
    return directory.link(name, node, credentials);
  }

  /** rename(2), atomically. 0 or a negative errno. */
  rename(from: Directory, oldName: Name, to: Directory, newName: Name, options: RenameOptions): number {
    const node = from.entries.get(oldName);
    if (node === undefined) return from.domain === null ? -EPERM : -ENOENT;
    const crossing = checkMove(from, to) || checkName(newName);
    if (crossing !== 0) return -crossing;
    if (to.linkCount === 0) return -ENOENT;
    if (node instanceof Directory && isWithin(to, node)) return -EINVAL;
    const target = to.entries.get(newName);
    if (target !== undefined) {
      if (options.noReplace) return -EEXIST;
      // Two names of one file: POSIX leaves both.
      if (target === node) return 0;
      const error = checkReplace(node, target);
      if (error !== 0) return -error;
      to.remove(newName);
    }
    to.add(newName, node, from.detach(oldName));
    node.times.changed = this.context.now();
    noteRename(node, from, to, target ?? null);
    return 0;
  }

  /** renameat2(RENAME_EXCHANGE): two names change places. 0 or a negative errno. */
  exchange(from: Directory, oldName: Name, to: Directory, newName: Name): number {
    const one = from.entries.get(oldName);
    const other = to.entries.get(newName);
    if (one === undefined || other === undefined) return -ENOENT;
    const crossing = checkMove(from, to);
    if (crossing !== 0) return -crossing;
    if (one instanceof Directory && isWithin(to, one)) return -EINVAL;
    if (other instanceof Directory && isWithin(from, other)) return -EINVAL;
    if (one === other) return 0;
    const account = from.detach(oldName);
    from.add(oldName, other, to.detach(newName));
    to.add(newName, one, account);
    noteRename(one, from, to, null);
    noteRename(other, to, from, null);
    return 0;
  }
}

function isWithin(directory: Directory, ancestor: Directory): boolean {
  for (let at = directory; ; at = at.parent) {
    if (at === ancestor) return true;
    if (at.parent === at) return false;
  }
}

/**
 * Whether names can be moved between two directories: 0, EXDEV between trees, or EPERM where names are fixed. mv(1) answers EXDEV
 * by copying, which would read from pipes that it cannot move.
 */
function checkMove(from: Directory, to: Directory): number {
  if (from.domain === null || to.domain === null) return EPERM;
  return from.domain === to.domain ? 0 : EXDEV;
}

/** Whether `node` may take the place of `target`: 0 or a positive errno. */
function checkReplace(node: Node, target: Node): number {
  if (target instanceof Directory) {
    if (!(node instanceof Directory)) return EISDIR;
    const error = target.checkRemovable();
    return error === ENOTEMPTY || error === EBUSY ? error : 0;
  }
  return node instanceof Directory ? ENOTDIR : 0;
}
