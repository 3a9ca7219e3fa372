import type { Credentials } from '../../kern/credentials.ts';
import { EBUSY, ENOENT, ENOMEM, EOPNOTSUPP, EPERM } from '../../kern/errno.ts';
import type { Operation } from '../../kern/operation.ts';
import { optionWords, type PipeOptions } from '../../pipe/pipe-options.ts';
import { Directory } from '../../vfs/directory.ts';
import type { Node } from '../../vfs/node.ts';
import { BadRequest } from '../control/request-file.ts';
import type { RequestHandler, RootControl } from '../control/root-control.ts';
import { quoted, refuseMore } from '../control/words.ts';
import { PipeNode, PipesDirectory } from '../pipes.ts';
import { withOptions, withoutOptions } from './parse-options.ts';

/** What has options: a pipe, or a directory, which gives them to the pipes made in it. */
export type Optioned = PipeNode | PipesDirectory;

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
    return change(find(root, path), { path, caller, canWatch }, (options) => withOptions(options, words));
  });
  register('unset', ([path, ...names], caller) => {
    if (path === undefined || names.length === 0)
      throw new BadRequest('write unset PIPE OPTION..., or unset PIPE all: unset pipes/q hold');
    return change(find(root, path), { path, caller, canWatch }, (options) => withoutOptions(options, names));
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

function change(
  node: Optioned,
  { path, caller, canWatch }: { path: string; caller: Credentials; canWatch: boolean },
  changed: (options: PipeOptions) => PipeOptions,
): string {
  if (caller.uid !== 0 && caller.uid !== node.uid)
    throw new BadRequest(
      `${quoted(path)} belongs to user ${node.uid}: only its owner and root may change it`,
      -EPERM,
    );
  const options = changed(node.options);
  if (
    node instanceof PipeNode &&
    options.fanout !== node.options.fanout &&
    node.fifo.readers > node.fifo.holders
  )
    throw new BadRequest(
      `${quoted(path)} is open for reading: change fanout before programs open it`,
      -EBUSY,
    );
  if (options.jobserver && !canWatch)
    throw new BadRequest(
      'this mount does not hear of the ends of processes: leave out jobserver',
      -EOPNOTSUPP,
    );
  const result = node.setOptions(options);
  if (result === -EBUSY)
    throw new BadRequest(
      `${quoted(path)} has more bytes queued than it could hold then: read some first`,
      result,
    );
  if (result === -ENOMEM)
    throw new BadRequest(
      'there is no memory for such a pipe: take less capacity, or raise kern.ipc.maxpipekva or ipcfs.quota.pipe_bytes',
      result,
    );
  return describe(options);
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
