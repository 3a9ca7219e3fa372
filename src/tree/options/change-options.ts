import type { Credentials } from '../../kern/credentials.ts';
import { EBUSY, ENOMEM, EOPNOTSUPP, EPERM } from '../../kern/errno.ts';
import type { PipeOptions } from '../../pipe/pipe-options.ts';
import { BadRequest } from '../control/request-file.ts';
import { quoted } from '../control/words.ts';
import { PipeNode, type PipesDirectory } from '../pipes.ts';

/** A pipe with its own options, or a directory, which passes its options on to pipes made in it. */
export type Optioned = PipeNode | PipesDirectory;

/** Who changes the options, and how messages name the object. */
export interface OptionChange {
  readonly path: string;
  readonly caller: Credentials;
  /** Whether the mount hears of the ends of processes. */
  readonly canWatch: boolean;
}

/** Gives `node` the options that `changed` makes of its present ones, and returns them. Throws BadRequest. */
export function changeOptions(
  node: Optioned,
  { path, caller, canWatch }: OptionChange,
  changed: (options: PipeOptions) => PipeOptions,
): PipeOptions {
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
  node.times.changed = node.context.now();
  return options;
}
