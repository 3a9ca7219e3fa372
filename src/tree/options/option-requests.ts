import type { Credentials } from '../../kern/credentials.ts';
import { ENOENT } from '../../kern/errno.ts';
import type { Operation } from '../../kern/operation.ts';
import { optionWords, type PipeOptions } from '../../pipe/pipe-options.ts';
import { Directory } from '../../vfs/directory.ts';
import type { Node } from '../../vfs/node.ts';
import { BadRequest } from '../control/request-file.ts';
import type { RequestHandler, RootControl } from '../control/root-control.ts';
import { quoted, refuseMore } from '../control/words.ts';
import { PipeNode, PipesDirectory } from '../pipes.ts';
import { changeOptions, type Optioned } from './change-options.ts';
import { withOptions, withoutOptions } from './parse-options.ts';

/** Registers the requests of `ctl` about options of pipes: set, get and unset. `canWatch`: whether the ends of processes are known. */
export function registerOptionRequests(control: RootControl, root: Directory, canWatch: boolean): void {
  const register = (
    word: string,
    handle: (words: readonly string[], caller: Credentials) => string,
  ): void => {
    const handler: RequestHandler = function* (words, caller): Operation<string | number> {
      return handle(words, caller);
    };
    control.register(word, handler);
  };
  register('set', ([path, ...words], caller) => {
    if (path === undefined || words.length === 0)
      throw new BadRequest('write set PIPE OPTION...: set pipes/q hold lines');
    const options = changeOptions(find(root, path), { path, caller, canWatch }, (before) =>
      withOptions(before, words),
    );
    return describe(options);
  });
  register('unset', ([path, ...names], caller) => {
    if (path === undefined || names.length === 0)
      throw new BadRequest('write unset PIPE OPTION..., or unset PIPE all: unset pipes/q hold');
    const options = changeOptions(find(root, path), { path, caller, canWatch }, (before) =>
      withoutOptions(before, names),
    );
    return describe(options);
  });
  register('get', ([path, ...rest]) => {
    if (path === undefined) throw new BadRequest('write get PIPE: get pipes/q');
    refuseMore(rest);
    return describe(find(root, path).options);
  });
}

/** The options in words; `-` for none. */
export function describe(options: PipeOptions): string {
  return optionWords(options).join(' ') || '-';
}

function find(root: Directory, path: string): Optioned {
  let node: Node = root;
  const text = path.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  );
  for (const name of text.replace(/\/+$/, '').split('/')) {
    const next: Node | number = node instanceof Directory ? node.lookup(name) : -ENOENT;
    if (typeof next === 'number') throw new BadRequest(`${quoted(path)} does not exist`, next);
    node = next;
  }
  if (node instanceof PipeNode || node instanceof PipesDirectory) return node;
  throw new BadRequest(`${quoted(path)} has no options: name a pipe in pipes/, or a directory of pipes`);
}
