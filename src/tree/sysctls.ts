import { EINVAL, ENOENT } from '../kern/errno.ts';
import type { Operation } from '../kern/operation.ts';
import { isTunable, parseInteger, type SysctlRegistry, type SysctlVariable } from '../kern/sysctl.ts';
import { Directory } from '../vfs/directory.ts';
import type { NodeContext } from '../vfs/node.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { TextFile } from '../vfs/text-file.ts';
import { TextPieces } from '../vfs/text-pieces.ts';

const DIRECTORY_PERMISSIONS = 0o755;
const READ_ONLY_PERMISSIONS = 0o444;
const TUNABLE_PERMISSIONS = 0o644;

/** sysctl/kern/ipc/NAME: the value and a newline; a written integer becomes the value. */
class SysctlFile extends TextFile {
  readonly #registry: SysctlRegistry;
  readonly #variable: SysctlVariable;

  constructor(context: NodeContext, registry: SysctlRegistry, variable: SysctlVariable) {
    const isWritable = isTunable(variable) && variable.loader !== true;
    super(context, isWritable ? TUNABLE_PERMISSIONS : READ_ONLY_PERMISSIONS);
    this.#registry = registry;
    this.#variable = variable;
  }

  protected override *read(): Operation<TextPieces> {
    return TextPieces.of(`${this.#variable.get()}\n`);
  }

  protected override *write(text: string, file: OpenFile): Operation<number> {
    const value = parseInteger(text);
    if (value === null) return -EINVAL;
    return yield* this.#registry.change(this.#variable.name, value, file.credentials);
  }
}

/** A name that is not registered cannot be created: the writer has mistyped it. */
class SysctlDirectory extends Directory {
  override makeFile(): number {
    return -ENOENT;
  }
}

/** sysctl/: a directory for each part of a name before the last. */
export function sysctlTree(context: NodeContext, registry: SysctlRegistry): Directory {
  const ownership = { mode: DIRECTORY_PERMISSIONS, uid: 0, gid: 0 };
  const root: Directory = new SysctlDirectory(context, ownership);
  for (const variable of registry.all()) {
    const parts = variable.name.split('.');
    const last = parts.pop()!;
    let directory = root;
    for (const part of parts) {
      let next = directory.entries.get(part);
      if (!(next instanceof Directory)) {
        next = new SysctlDirectory(context, ownership);
        directory.add(part, next);
      }
      directory = next as Directory;
    }
    directory.add(last, new SysctlFile(context, registry, variable));
  }
  return root;
}
