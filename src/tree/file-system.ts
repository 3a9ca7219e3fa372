import type { Credentials } from '../kern/credentials.ts';
import { EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV } from '../kern/errno.ts';
import type { ForeignHost } from '../kern/foreign.ts';
import type { Kernel } from '../kern/kernel.ts';
import type { ProcessEvents } from '../kern/process-events.ts';
import { noteRename } from '../vfs/vnode-notes.ts';
import { KqueueSubsystem } from '../kqueue/subsystem.ts';
import { PAGE_SIZE_BYTES } from '../pipe/budget.ts';
import { queueFor } from '../pipe/options/queue.ts';
import { PipeSubsystem } from '../pipe/subsystem.ts';
import { ShmSubsystem } from '../shm/subsystem.ts';
import { contentDirectory } from './content.ts';
import { RootControl } from './control/root-control.ts';
import { FaultInjector } from './faults/call-faults.ts';
import { FaultRequests } from './faults/fault-requests.ts';
import { FaultTable } from './faults/fault-table.ts';
import { ConstantFile } from '../vfs/constant-file.ts';
import { checkName, Directory } from '../vfs/directory.ts';
import { FstatSize } from './fstat-size.ts';
import { faultsTable } from './tables/faults.ts';
import { handlesTable } from './tables/handles.ts';
import { locksTable } from './tables/locks.ts';
import { pipesTable } from './tables/pipes.ts';
import { type Name, type Node, NodeContext } from '../vfs/node.ts';
import { OpenFileTable } from '../vfs/open-file.ts';
import { OptionAttributes } from './options/option-attributes.ts';
import { registerOptionRequests } from './options/option-requests.ts';
import { PairsDirectory } from './pairs.ts';
import { PipesDirectory } from './pipes.ts';
import { registerQuotas } from './quotas.ts';
import { usersTable } from './tables/users.ts';
import { SegmentKeyDirectory } from './segments/segment-directories.ts';
import { KqueueControl, KqueuesDirectory } from './kqueues.ts';
import { knotesTable } from './tables/knotes.ts';
import { kqueuesTable } from './tables/kqueues.ts';
import { TreeResolver } from './ident-resolver.ts';
import { segmentsTable } from './tables/segments.ts';
import { waitsTable } from './tables/waits.ts';
import { SegmentFiles } from './segments/segment-files.ts';
import { HeapStorageMemory, type StorageMemory } from '../shm/storage.ts';
import { RingEntries } from './ring-entries.ts';
import { WriteMemory } from './write-memory.ts';
import { sysctlTree } from './sysctls.ts';
import { sysctlsTable } from './tables/sysctls.ts';
import { transportTable } from './tables/transport.ts';
import { versionTable } from './tables/version.ts';
import { Trace } from './trace/trace.ts';
import { TraceFile } from './trace/trace-file.ts';
import { TraceForm } from './trace/trace-reader.ts';
import { MadeFile, type MadeText } from '../vfs/made-file.ts';
import { TableMemory } from '../vfs/table-memory.ts';
import { formatMetrics, formatMetricsJson, type MetricSources } from './metric-families.ts';
import { OperationMetrics } from '../vfs/metrics.ts';
import { formatTable, formatTableJson, type Table } from '../vfs/table.ts';
import { noTransport, type Transport } from '../vfs/transport.ts';

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

/** What a file system is made from. */
export interface FileSystemOptions {
  readonly identity: MountIdentity;
  /** Without one nothing is served: the tree and its tunables can be looked at. */
  readonly transport?: Transport;
  /** Where segments lie; by default in this process. */
  readonly memory?: StorageMemory;
  /** Null where the host tells nothing of its processes. */
  readonly processEvents?: ProcessEvents | null;
  /** Null where the host cannot look at files outside of the mount. */
  readonly foreignHost?: ForeignHost | null;
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
  readonly ringEntries: RingEntries;
  readonly fstatSize: FstatSize;
  readonly openFiles: OpenFileTable;
  readonly segmentFiles: SegmentFiles;
  readonly faults: FaultTable;
  /** The extended attributes of nodes. */
  readonly attributes: OptionAttributes;
  /** `ctl`: what its requests begin with. */
  readonly control: RootControl;
  /** The tables of info/. */
  readonly tables: readonly Table[];
  /** What info/metrics shows of operations; the transport reports them. */
  readonly operations = new OperationMetrics();
  /** What the transport tells of calls. */
  readonly trace: Trace;
  /** What carries the requests. */
  readonly transport: Transport;

  constructor(kernel: Kernel, options: FileSystemOptions) {
    const { identity, transport = noTransport, processEvents = null, foreignHost = null } = options;
    const memory = options.memory ?? new HeapStorageMemory();
    this.transport = transport;
    this.kernel = kernel;
    this.openFiles = new OpenFileTable(MAX_OPEN_FILES, kernel.accounts);
    this.pipes = new PipeSubsystem(kernel, queueFor);
    this.pipes.processEvents = processEvents;
    this.writeMemory = new WriteMemory(kernel);
    this.ringEntries = new RingEntries(kernel);
    this.fstatSize = new FstatSize(kernel.sysctls);
    const tableMemory = new TableMemory(kernel);
    this.context = new NodeContext(kernel);
    const owner = { uid: identity.uid, gid: identity.gid };
    const shared = { mode: STICKY_SHARED, ...owner };
    this.root = new Directory(this.context, { mode: FIXED, ...owner });
    const pipes = new PipesDirectory(this.context, this.pipes, shared);
    const pairs = new PairsDirectory(this.context, this.pipes, shared);
    this.root.add('pipes', pipes);
    this.root.add('pairs', pairs);
    this.shm = new ShmSubsystem(kernel, memory);
    const segmentFiles = (this.segmentFiles = new SegmentFiles(this.context, this.shm, memory, transport));
    const segments = new SegmentKeyDirectory(this.context, segmentFiles, shared);
    this.root.add('shm', segments);
    this.kqueues = new KqueueSubsystem(kernel, {
      resolver: new TreeResolver(this.root, this.openFiles, transport),
      processEvents,
      foreignHost,
      processOf: (threadId) => kernel.host.processOf(threadId),
    });
    const kqueues = new KqueuesDirectory(this.context, this.kqueues, shared);
    this.root.add('kqueue', new KqueueControl(this.context, this.kqueues, 'text'));
    this.root.add('kqueue.bin', new KqueueControl(this.context, this.kqueues, 'binary'));
    this.root.add('kqueues', kqueues);
    const injector = new FaultInjector(
      (this.faults = new FaultTable(kernel, (isActive) => {
        this.context.faults = isActive ? injector : null;
      })),
      kernel.host,
    );
    this.control = new RootControl(this.context);
    this.control.register('fault', new FaultRequests(kernel, this.faults, this.root, this.openFiles).handle);
    registerOptionRequests(this.control, this.root, processEvents !== null);
    this.attributes = new OptionAttributes(processEvents !== null);
    this.root.add('ctl', this.control);
    kernel.accounts.exempt(identity.uid);
    registerQuotas(kernel.accounts, kernel.sysctls);
    this.trace = new Trace(kernel, this.kqueues, transport, this.root);
    this.faults.onHit = ({ id, spec }, { call, node, caller }) => {
      this.trace.faultHit(node, caller.pid, `${id} ${call} ${spec.action.text}`);
    };
    // All tunables are registered by now.
    this.root.add('sysctl', sysctlTree(this.context, kernel.sysctls));
    const info = new Directory(this.context, { mode: READ_ONLY, ...owner });
    this.root.add('info', info);
    this.tables = [
      versionTable(identity),
      transportTable(transport),
      sysctlsTable(kernel.sysctls),
      pipesTable(pipes, pairs),
      kqueuesTable(this.kqueues, kqueues),
      knotesTable(this.kqueues, kqueues),
      segmentsTable(segmentFiles, transport),
      handlesTable(this.openFiles),
      locksTable(this.context.locks),
      usersTable(kernel.accounts),
      faultsTable(this.faults),
      waitsTable(transport, {
        nowMs: () => kernel.host.clock.monotonicMs(),
        describeThread: (threadId) => kernel.host.describeThread(threadId),
        segments: segmentFiles,
        openFiles: this.openFiles,
        hasPipes: () => this.pipes.pairs.size > 0,
      }),
    ];
    const addFile = (name: string, text: MadeText): void => {
      info.add(name, new MadeFile(this.context, tableMemory, text));
    };
    for (const table of this.tables) {
      const prepare = table.prepare === undefined ? {} : { prepare: table.prepare.bind(table) };
      addFile(table.name, { ...prepare, write: (viewer, space) => formatTable(table, viewer, space) });
      addFile(`${table.name}.json`, {
        ...prepare,
        write: (viewer, space) => formatTableJson(table, viewer, space),
      });
    }
    const sources: MetricSources = {
      host: kernel.host,
      version: identity.version,
      operations: this.operations,
      pipes,
      pairs,
      budget: this.pipes.budget,
      drops: this.pipes.drops,
      segments: this.shm.table,
      kqueues: this.kqueues,
      openFileCount: () => this.openFiles.size,
      nodeCount: () => this.context.liveInodes,
      transport,
    };
    addFile('metrics', { write: (_, space) => formatMetrics(sources, space) });
    addFile('metrics.json', { write: (_, space) => formatMetricsJson(sources, space) });
    // Keeps git, and tools that read its files, out of a mount that lies in a working tree.
    this.root.add('.gitignore', new ConstantFile(this.context, '*\n'));
    const content = { mode: READ_ONLY, ...owner };
    info.add('trace', new TraceFile(this.context, this.trace, TraceForm.Text));
    info.add('trace.json', new TraceFile(this.context, this.trace, TraceForm.Json));
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

  /** link(2). 0 or a negative errno; EXDEV between trees, as between file systems, EPERM within one that has no links. */
  link(node: Node, directory: Directory, name: Name, credentials: Credentials): number {
    // Names of segments and of views are not entries of a directory.
    const from = node.names[0]?.directory;
    if (from === undefined && node.linkCount === 0) return -ENOENT;
    if (node instanceof Directory) return -EPERM;
    if (from === undefined || from.domain === null || from.domain !== directory.domain) {
      return treeOf(node) === treeOf(directory) ? -EPERM : -EXDEV;
    }
    return directory.link(name, node, credentials);
  }

  /** rename(2), atomically. 0 or a negative errno. */
  rename(from: Directory, oldName: Name, to: Directory, newName: Name, options: RenameOptions): number {
    const node = from.entries.get(oldName);
    if (node === undefined) return from.domain === null ? -EPERM : -ENOENT;
    const crossing = checkMove(from, to) || checkName(newName);
    if (crossing !== 0) return crossing;
    if (to.linkCount === 0) return -ENOENT;
    if (node instanceof Directory) {
      if (isWithin(to, node)) return -EINVAL;
      const error = to.checkPathLength(newName, node);
      if (error !== 0) return error;
    }
    const target = to.entries.get(newName);
    if (target !== undefined) {
      if (options.noReplace) return -EEXIST;
      // Two names of one file: POSIX leaves both.
      if (target === node) return 0;
      const error = checkReplace(node, target);
      if (error !== 0) return error;
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
    if (crossing !== 0) return crossing;
    if (one instanceof Directory && isWithin(to, one)) return -EINVAL;
    if (other instanceof Directory && isWithin(from, other)) return -EINVAL;
    const error =
      (one instanceof Directory ? to.checkPathLength(newName, one) : 0) ||
      (other instanceof Directory ? from.checkPathLength(oldName, other) : 0);
    if (error !== 0) return error;
    if (one === other) return 0;
    const account = from.detach(oldName);
    from.add(oldName, other, to.detach(newName));
    to.add(newName, one, account);
    noteRename(one, from, to, null);
    noteRename(other, to, from, null);
    return 0;
  }
}

/** The name in the mount's root that leads to a node. */
function treeOf(node: Node): string {
  return node.path.split('/', 1)[0]!;
}

function isWithin(directory: Directory, ancestor: Directory): boolean {
  for (let at = directory; ; at = at.parent) {
    if (at === ancestor) return true;
    if (at.parent === at) return false;
  }
}

/**
 * Whether names can be moved between two directories: 0, -EXDEV between trees, or -EPERM where names are fixed. mv(1) answers EXDEV
 * by copying, which would read from pipes that it cannot move.
 */
function checkMove(from: Directory, to: Directory): number {
  if (from.domain === null || to.domain === null) return -EPERM;
  return from.domain === to.domain ? 0 : -EXDEV;
}

/** Whether `node` may take the place of `target`: 0 or a negative errno. */
function checkReplace(node: Node, target: Node): number {
  if (target instanceof Directory) {
    if (!(node instanceof Directory)) return -EISDIR;
    const error = target.checkRemovable();
    return error === -ENOTEMPTY || error === -EBUSY ? error : 0;
  }
  return node instanceof Directory ? -ENOTDIR : 0;
}
