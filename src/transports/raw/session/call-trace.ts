import type { Thread } from '../../../kern/scheduler.ts';
import { Engine } from '../../../vfs/metrics.ts';
import type { Name, Node } from '../../../vfs/node.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import type { TracedCall, TraceSink } from '../../../vfs/traced-call.ts';
import { LK_FLOCK, Opcode } from '../protocol/constants.ts';
import {
  CreateIn,
  EntryOut,
  IoctlIn,
  IoctlOut,
  LinkIn,
  LkIn,
  MkdirIn,
  MknodIn,
  OpenIn,
  OpenOut,
  PollIn,
  PollOut,
  ReadIn,
  ReleaseIn,
  Rename2In,
  RenameIn,
} from '../protocol/layouts.ts';
import { opcodes } from '../protocol/opcodes.ts';
import type { Request } from '../protocol/request.ts';
import { InFlight } from './in-flight.ts';
import type { ServerParts } from './server-parts.ts';

/** What the kernel asks for itself: no call of a process, or only a part of one. */
const NO_CALLS = new Set<number>([
  Opcode.INIT,
  Opcode.DESTROY,
  Opcode.INTERRUPT,
  Opcode.FORGET,
  Opcode.BATCH_FORGET,
  Opcode.LOOKUP,
]);

type Parts = Pick<ServerParts, 'fileSystem' | 'handles' | 'nodes' | 'reply'>;

/** Tells the trace of calls, as requests and operations show them. Used only while somebody traces. */
export class CallTrace {
  readonly #parts: Parts;
  readonly #trace: TraceSink;
  /** The request that is served. */
  readonly #request: Request;

  constructor(parts: Parts, request: Request) {
    this.#parts = parts;
    this.#trace = parts.fileSystem.trace;
    this.#request = request;
  }

  /** Whether anybody traces. */
  get isActive(): boolean {
    return this.#trace.isActive;
  }

  /** The call that a thread makes; null for work of the server's own. */
  of(thread: Thread): TracedCall | null {
    return thread instanceof InFlight ? this.#ofOperation(thread) : null;
  }

  /** An operation has ended. */
  ended(call: InFlight, result: number): void {
    const traced = this.#ofOperation(call);
    if (traced !== null) this.#trace.ended(traced, result);
  }

  /** A handler has answered by itself; its payload lies in the reply. */
  answered(call: InFlight, result: number): void {
    if (NO_CALLS.has(call.opcode) || opcodes[call.opcode] === undefined) return;
    this.#trace.ended(this.#ofRequest(call, result), this.#resultOf(call.opcode, result));
  }

  /** The call whose operation runs or sleeps. */
  #ofOperation(call: InFlight): TracedCall | null {
    const { opcode, node, released } = call;
    if (node === null || NO_CALLS.has(opcode)) return null;
    const file = released ?? call.file;
    const hasBytes = node.engine === Engine.Pipe || node.engine === Engine.SharedMemory;
    let argument = -1;
    if (opcode === Opcode.OPEN) argument = call.flags;
    else if (opcode === Opcode.IOCTL) argument = call.flags;
    else if (opcode === Opcode.READ) argument = call.gather.wantedBytes;
    else if (opcode === Opcode.WRITE) argument = call.source?.length ?? -1;
    return {
      call: isLock(opcode) ? lockCall(call.flags) : opcodes[opcode]!.name,
      // Linux names nobody who closes.
      pid: call.pid === 0 && released !== null ? released.credentials.pid : call.pid,
      beganMs: call.receivedMs,
      thread: call,
      node,
      name: null,
      newPath: null,
      file,
      handle: file?.handle ?? -1,
      argument,
      source: opcode === Opcode.WRITE ? call.source : null,
      bytes: !hasBytes ? null : opcode === Opcode.READ ? call.gather : call.source,
    };
  }

  #ofRequest({ opcode, pid, receivedMs }: InFlight, result: number): TracedCall {
    const { handles, nodes, reply } = this.#parts;
    const request = this.#request;
    let node: Node | null = nodes.get(request.nodeid)?.node ?? null;
    let name: Name | null = null;
    let newPath: string | null = null;
    let file: OpenFile | null = null;
    let argument = -1;
    switch (opcode) {
      case Opcode.MKNOD:
        name = request.name(MknodIn.bytes);
        argument = request.u32(MknodIn.mode);
        break;
      case Opcode.MKDIR:
        name = request.name(MkdirIn.bytes);
        argument = request.u32(MkdirIn.mode);
        break;
      case Opcode.CREATE:
        name = request.name(CreateIn.bytes);
        argument = request.u32(CreateIn.flags);
        if (result > 0) file = handles.get(reply.u64(EntryOut.bytes + OpenOut.fh)) ?? null;
        break;
      case Opcode.SYMLINK:
      case Opcode.UNLINK:
      case Opcode.RMDIR:
        name = request.name(0);
        break;
      case Opcode.LINK:
        newPath = this.#pathIn(request.nodeid, request.name(LinkIn.bytes));
        node = nodes.get(request.u64(LinkIn.oldnodeid))?.node ?? null;
        break;
      case Opcode.RENAME:
      case Opcode.RENAME2: {
        const namesAt = opcode === Opcode.RENAME ? RenameIn.bytes : Rename2In.bytes;
        name = request.name(namesAt);
        newPath = this.#pathIn(request.u64(RenameIn.newdir), request.name(namesAt + (name?.length ?? 0) + 1));
        break;
      }
      case Opcode.OPEN:
        argument = request.u32(OpenIn.flags);
        break;
      case Opcode.POLL:
        file = handles.get(request.u64(PollIn.fh)) ?? null;
        argument = request.u32(PollIn.events);
        break;
      case Opcode.IOCTL:
        file = handles.get(request.u64(IoctlIn.fh)) ?? null;
        argument = request.u32(IoctlIn.cmd);
        break;
      case Opcode.READ:
      case Opcode.WRITE:
      case Opcode.READDIR:
        file = handles.get(request.u64(ReadIn.fh)) ?? null;
        argument = request.u32(ReadIn.size);
        break;
      case Opcode.RELEASE:
      case Opcode.GETLK:
      case Opcode.SETLK:
      case Opcode.SETLKW:
      case Opcode.FLUSH:
        file = handles.get(request.u64(ReleaseIn.fh)) ?? null;
        break;
      default:
    }
    return {
      call: isLock(opcode) ? lockCall(request.u32(LkIn.lkFlags)) : opcodes[opcode]!.name,
      pid,
      beganMs: receivedMs,
      thread: null,
      node: file?.node ?? node,
      // The directory of the name is found by the node.
      ...(file === null ? { name } : { name: null }),
      newPath,
      file,
      handle: file?.handle ?? -1,
      argument,
      source: null,
      bytes: null,
    };
  }

  #pathIn(nodeid: number, name: Name | null): string | null {
    const node = this.#parts.nodes.get(nodeid)?.node;
    return node === undefined || name === null ? null : this.#parts.fileSystem.trace.pathIn(node, name);
  }

  /** What the caller sees: the length of a payload says nothing. */
  #resultOf(opcode: number, result: number): number {
    if (result < 0) return result;
    if (opcode === Opcode.POLL) return this.#parts.reply.u32(PollOut.revents);
    return opcode === Opcode.IOCTL ? this.#parts.reply.u32(IoctlOut.result) : 0;
  }
}

function isLock(opcode: number): boolean {
  return opcode === Opcode.GETLK || opcode === Opcode.SETLK || opcode === Opcode.SETLKW;
}

/** As info/waits names it. */
function lockCall(flags: number): string {
  return (flags & LK_FLOCK) !== 0 ? 'flock' : 'fcntl';
}
