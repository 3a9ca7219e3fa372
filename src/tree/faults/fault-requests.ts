import type { Credentials } from '../../kern/credentials.ts';
import { ENOENT, ENOMEM, EPERM } from '../../kern/errno.ts';
import type { Kernel } from '../../kern/kernel.ts';
import type { Operation } from '../../kern/operation.ts';
import type { Work } from '../../kern/work.ts';
import { Directory } from '../../vfs/directory.ts';
import type { Node } from '../../vfs/node.ts';
import type { OpenFileTable } from '../../vfs/open-file.ts';
import { BadRequest, LONGEST_ANSWER_BYTES } from '../control/request-file.ts';
import { parseNumber, quoted, refuseMore } from '../control/words.ts';
import type { Fault } from './fault.ts';
import { type FaultTable, objectKindOf } from './fault-table.ts';
import { type FaultSpec, parseFault } from './parse-fault.ts';

/** What an answer has beside the text. */
const OK_BYTES = 8;
/** Names that may stand for another file: what a literal pattern would match is looked for without them. */
const ESCAPED = '\\';

/** The requests of `ctl` that begin with `fault`. */
export class FaultRequests {
  readonly #kernel: Kernel;
  readonly #table: FaultTable;
  readonly #root: Directory;
  readonly #openFiles: OpenFileTable;

  constructor(kernel: Kernel, table: FaultTable, root: Directory, openFiles: OpenFileTable) {
    this.#kernel = kernel;
    this.#table = table;
    this.#root = root;
    this.#openFiles = openFiles;
  }

  readonly handle = function* (
    this: FaultRequests,
    [verb, ...words]: readonly string[],
    caller: Credentials,
  ): Operation<string | number> {
    switch (verb) {
      case 'add':
        return yield* this.#add(parseFault(words), caller);
      case 'list':
        refuseMore(words);
        return this.#list(caller);
      case 'remove':
        refuseMore(words.slice(1));
        return words[0] === 'all'
          ? this.#removeAll(caller)
          : this.#remove(parseNumber(words[0], 'an id or all'), caller);
      default:
        throw new BadRequest(`unknown word ${quoted(verb ?? '')}: use fault add, fault list or fault remove`);
    }
  }.bind(this);

  *#add(spec: FaultSpec, caller: Credentials): Operation<string | number> {
    const node = spec.pattern.isLiteral ? this.#find(spec.pattern.text) : null;
    node?.refresh();
    if (node !== null && caller.uid !== 0 && node.uid !== caller.uid) {
      throw new BadRequest(
        `${spec.pattern.text} belongs to user ${node.uid}: only its owner and root may break it`,
        -EPERM,
      );
    }
    const fault = this.#table.add(spec, caller);
    if (typeof fault === 'number') return fault;
    const { call, action } = spec;
    if (action.kind === 'hangup' && (call === 'poll' || call === 'any')) {
      yield* this.#kernel.slicer.runCharged(this.#wakePollers(spec, caller.uid));
    }
    return String(fault.id);
  }

  /** Those that sleep in poll make their next one only when somebody tells them to look again. */
  *#wakePollers(spec: FaultSpec, uid: number): Work<void> {
    for (const { node, poller } of this.#openFiles.all()) {
      if (
        poller?.isWaiting === true &&
        objectKindOf(node) === 'stream' &&
        this.#table.covers(spec, uid, node)
      )
        poller.wake();
      yield;
    }
  }

  /** The count, and a line for each fault that the caller may remove. */
  #list(caller: Credentials): string {
    const faults = [...this.#table.all()].filter((fault) => mayRemove(fault, caller));
    const lines = faults.map(({ id, words, calls, hits }) =>
      [id, ...words, `calls=${calls}`, `hits=${hits}`].join(' '),
    );
    const text = [faults.length, ...lines].join('\n');
    if (text.length > LONGEST_ANSWER_BYTES - OK_BYTES)
      throw new BadRequest('there are more than an answer holds: read info/faults', -ENOMEM);
    return text;
  }

  #remove(id: number, caller: Credentials): number {
    const fault = this.#table.get(id);
    if (fault === undefined) throw new BadRequest(`there is no fault ${id}: read info/faults`, -ENOENT);
    if (!mayRemove(fault, caller))
      throw new BadRequest(
        `user ${fault.uid} has added fault ${id}: only that user and root may remove it`,
        -EPERM,
      );
    this.#table.remove(fault);
    return 0;
  }

  /** How many it has removed. */
  #removeAll(caller: Credentials): string {
    const faults = [...this.#table.all()].filter((fault) => mayRemove(fault, caller));
    for (const fault of faults) this.#table.remove(fault);
    return String(faults.length);
  }

  #find(path: string): Node | null {
    if (path.includes(ESCAPED)) return null;
    let node: Node = this.#root;
    for (const name of path.split('/')) {
      const next: Node | number = node instanceof Directory ? node.lookup(name) : -ENOENT;
      if (typeof next === 'number') return null;
      node = next;
    }
    return node;
  }
}

function mayRemove(fault: Fault, { uid }: Credentials): boolean {
  return uid === 0 || uid === fault.uid;
}
