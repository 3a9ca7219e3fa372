import type { Credentials } from '../../kern/credentials.ts';
import { EEXIST, EINVAL, ENODATA, EOPNOTSUPP } from '../../kern/errno.ts';
import { optionWords, type PipeOptions } from '../../pipe/pipe-options.ts';
import type { Node } from '../../vfs/node.ts';
import { BadRequest } from '../control/request-file.ts';
import { PipeNode, PipesDirectory } from '../pipes.ts';
import { changeOptions, type Optioned } from './change-options.ts';
import { optionKinds, withOptions, withoutOptions } from './parse-options.ts';

const PREFIX = 'user.ipcfs.';
const ON = 'on';

/** Flags of setxattr(2). */
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

/**
 * The extended attributes of the tree: pipes and directories of pipes have one for each option that is set, `user.ipcfs.hold` and so on. Its
 * value is what follows `=` in a request to `ctl`; of a plain word it is `on`. Names and values have one character a byte.
 */
export class OptionAttributes {
  readonly #canWatch: boolean;

  /** `canWatch`: whether the mount hears of the ends of processes. */
  constructor(canWatch: boolean) {
    this.#canWatch = canWatch;
  }

  /** getxattr(2): the value, or -ENODATA, or -EOPNOTSUPP where there can be none of that name. */
  get(node: Node, name: string): string | number {
    if (!isOptioned(node)) return -EOPNOTSUPP;
    const option = optionOf(name);
    const value = option === null ? undefined : valuesOf(node.options).get(option);
    return value ?? (name.startsWith('user.') ? -ENODATA : -EOPNOTSUPP);
  }

  /** listxattr(2): the names. They can be set in this order on an object without options. */
  list(node: Node): string[] {
    if (!isOptioned(node)) return [];
    return Array.from(valuesOf(node.options).keys(), (option) => PREFIX + option);
  }

  /** setxattr(2), with the rules of `set` on `ctl`: 0 or a negative errno. An empty value sets a plain word. */
  set(node: Node, name: string, value: string, flags: number, caller: Credentials): number {
    const option = optionOf(name);
    if (!isOptioned(node) || option === null) return -EOPNOTSUPP;
    if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) return -EINVAL;
    const exists = valuesOf(node.options).has(option);
    if (exists && (flags & XATTR_CREATE) !== 0) return -EEXIST;
    if (!exists && (flags & XATTR_REPLACE) !== 0) return -ENODATA;
    const word = value === '' ? option : `${option}=${value}`;
    return this.#change(node, caller, (options) => withOptions(options, [word]));
  }

  /** removexattr(2), with the rules of `unset` on `ctl`: 0 or a negative errno. */
  remove(node: Node, name: string, caller: Credentials): number {
    const option = optionOf(name);
    if (!isOptioned(node) || option === null) return -EOPNOTSUPP;
    if (!valuesOf(node.options).has(option)) return -ENODATA;
    return this.#change(node, caller, (options) => withoutOptions(options, [option]));
  }

  #change(node: Optioned, caller: Credentials, changed: (options: PipeOptions) => PipeOptions): number {
    try {
      changeOptions(node, { path: node.path, caller, canWatch: this.#canWatch }, changed);
      return 0;
    } catch (error) {
      if (error instanceof BadRequest) return error.result;
      throw error;
    }
  }
}

function isOptioned(node: Node): node is Optioned {
  return node instanceof PipeNode || node instanceof PipesDirectory;
}

/** The option that an attribute stands for; null for any other name. */
function optionOf(name: string): string | null {
  const option = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : '';
  return Object.hasOwn(optionKinds, option) ? option : null;
}

/** The options that are set, with their values, in the order of their words. */
function valuesOf(options: PipeOptions): Map<string, string> {
  return new Map(
    optionWords(options).map((word) => {
      const [option, value = ON] = word.split('=') as [string, string?];
      return [option, value];
    }),
  );
}
