import { type DescriptorTarget, ProcessEnding } from '../../src/kern/host.ts';
import type { FileSystem } from '../../src/tree/file-system.ts';
import type { ProcessDirectory } from './host.ts';
import type { Answer, Call, Caller, KernelFile, KernelNode, SimulatedKernel } from './kernel.ts';

/** What a thread does: makes calls, one after the other, and looks at their answers. */
export type Program = Generator<Call, void, Answer>;

const THREADS = 2;
/** The second thread of process p is p + this. */
const THREAD_STEP = 100_000;

export class SimulatedThread {
  readonly process: SimulatedProcess;
  readonly caller: Caller;
  program: Program | null = null;
  /** The call that comes next. */
  next: Call | null = null;
  /** The call that is not answered yet; 0 for none. */
  unique = 0;
  /** Nodes that the program has learned of. */
  readonly pinned: KernelNode[] = [];

  constructor(process: SimulatedProcess, index: number) {
    this.process = process;
    this.caller = { uid: process.uid, gid: process.uid, pid: process.pid + index * THREAD_STEP };
  }

  get isBlocked(): boolean {
    return this.unique !== 0;
  }

  /** Starts a program; its first call is next. False when it has none. */
  start(kernel: SimulatedKernel, program: Program): boolean {
    this.program = program;
    this.#goOn(kernel, program.next());
    return this.next !== null;
  }

  /** Makes the next call; the length of the request, 0 when the file has been closed since: the program ends there. */
  issue(kernel: SimulatedKernel): number {
    const call = this.next!;
    this.next = null;
    if (call.file !== undefined && !kernel.files.has(call.file.handle)) {
      this.end(kernel);
      return 0;
    }
    const unique = kernel.nextUnique();
    this.unique = unique;
    return kernel.issue(
      call,
      this.caller,
      (answer) => {
        this.unique = 0;
        this.#goOn(kernel, this.program!.next(answer));
        if (this.process.isExiting) this.end(kernel);
      },
      unique,
    );
  }

  /** The program ends here, whatever it was up to. */
  end(kernel: SimulatedKernel): void {
    if (this.isBlocked) return;
    this.next = null;
    this.program = null;
    for (const node of this.pinned.splice(0)) kernel.unpin(node);
    this.process.threadEnded();
  }

  #goOn(kernel: SimulatedKernel, step: IteratorResult<Call, void>): void {
    if (step.done === true) {
      this.program = null;
      for (const node of this.pinned.splice(0)) kernel.unpin(node);
    } else {
      this.next = step.value;
    }
  }
}

export class SimulatedProcess {
  readonly pid: number;
  readonly uid: number;
  readonly threads: SimulatedThread[] = [];
  readonly descriptors: KernelFile[] = [];
  isExiting = false;
  /** Called when the last thread of an exiting process has ended. */
  readonly ended: (process: SimulatedProcess) => void;

  constructor(pid: number, uid: number, ended: (process: SimulatedProcess) => void) {
    this.pid = pid;
    this.uid = uid;
    this.ended = ended;
    for (let index = 0; index < THREADS; index++) this.threads.push(new SimulatedThread(this, index));
  }

  threadEnded(): void {
    if (this.isExiting && !this.threads.some(({ isBlocked }) => isBlocked)) this.ended(this);
  }
}

/** The processes of the machine, as /proc shows them. */
export class ProcessTable implements ProcessDirectory {
  readonly processes: SimulatedProcess[] = [];
  fileSystem: FileSystem | null = null;

  processOf(threadId: number): number | null {
    const pid = threadId % THREAD_STEP;
    return this.processes.some((process) => process.pid === pid) ? pid : null;
  }

  endingOf(threadId: number): ProcessEnding {
    const pid = threadId % THREAD_STEP;
    const process = this.processes.find((candidate) => candidate.pid === pid);
    if (process === undefined) return ProcessEnding.Gone;
    if (!process.isExiting) return ProcessEnding.None;
    // Every other process is killed.
    return pid % 2 === 0 ? ProcessEnding.Signal : ProcessEnding.Exit;
  }

  descriptor(pid: number, descriptor: number): DescriptorTarget | null {
    const file = this.processes.find((process) => process.pid === pid)?.descriptors[descriptor];
    if (file === undefined) return null;
    const open = this.fileSystem!.openFiles.get(file.handle);
    if (open === undefined) return null;
    return {
      identity: file.node.nodeid,
      inode: open.node.inode,
      isReadable: file.isReadable,
      isWritable: file.isWritable,
    };
  }
}
