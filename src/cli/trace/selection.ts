import { TRACED_CALLS } from '../../vfs/traced-call.ts';
import { UsageFailure } from '../failures.ts';
import { globExpression } from './glob.ts';
import type { ProcessTree } from './process-tree.ts';
import type { TraceFields } from './trace-lines.ts';

export interface SelectionOptions {
  readonly object?: string;
  readonly pid?: number;
  /** Names, separated by commas. */
  readonly call?: string;
}

/** The events of kqueues and the hits of faults are selected as a call is. */
const SELECTABLE: readonly string[] = [...TRACED_CALLS, 'event', 'fault'];

function parseCalls(text: string): ReadonlySet<string> {
  const calls = text.split(',');
  const unknown = calls.find((call) => !SELECTABLE.includes(call));
  if (unknown === undefined) return new Set(calls);
  throw new UsageFailure(`--call does not know '${unknown}': it takes names of ${SELECTABLE.join(',')}`);
}

/** A pattern for names of which each character is a byte. */
export function objectExpression(glob: string): RegExp {
  return globExpression(Buffer.from(glob).toString('latin1'));
}

/** Which lines are wanted. Those that tell of lost ones always are. */
export class Selection {
  readonly #object: RegExp | null;
  readonly #pid: number | undefined;
  readonly #calls: ReadonlySet<string> | null;
  /** Whose calls are wanted; null for everybody's. */
  tree: ProcessTree | null = null;
  /** Whose calls are not; null for nobody's. */
  withoutProcess: number | null = null;

  constructor({ object, pid, call }: SelectionOptions) {
    this.#object = object === undefined ? null : objectExpression(object);
    this.#pid = pid;
    this.#calls = call === undefined ? null : parseCalls(call);
  }

  has(fields: TraceFields): boolean {
    const { type, pid, process = pid ?? 0, parent = 0, call = '', object = '', to } = fields;
    if (type === 'lost') return true;
    if (process === this.withoutProcess) return false;
    if (this.#calls?.has(call) === false) return false;
    if (this.#pid !== undefined && this.#pid !== pid && this.#pid !== process) return false;
    if (this.#object !== null && !this.#object.test(object) && !(to !== undefined && this.#object.test(to)))
      return false;
    return this.tree === null || this.tree.has(process, parent);
  }
}
