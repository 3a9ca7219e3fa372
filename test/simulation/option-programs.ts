import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { PipeNode } from '../../src/tree/pipes.ts';
import type { KernelNode } from './kernel.ts';
import { queueNames } from './pipe-programs.ts';
import type { Program } from './processes.ts';
import { bytesOf, type Context, lookup } from './programs.ts';

const EPERM = -1;
const ENOMEM = -12;
const EBUSY = -16;
const EEXIST = -17;
const EINVAL = -22;
const ERANGE = -34;
const ENODATA = -61;
const EOPNOTSUPP = -95;

const settings: readonly (readonly [option: string, value: string])[] = [
  ['hold', ''],
  ['hold', 'on'],
  ['hold', 'off'],
  ['lines', ''],
  ['records', ''],
  ['requeue', ''],
  ['requeue', 'off'],
  ['overflow', 'oldest'],
  ['overflow', 'newest'],
  ['overflow', 'block'],
  ['overflow', 'never'],
  ['fanout', ''],
  ['jobserver', ''],
  ['capacity', '4096'],
  ['capacity', '10000'],
  ['timeout', '5ms'],
  ['timeout', '1s'],
  ['nothing', ''],
];

/** getxattr, listxattr, setxattr and removexattr of pipes and directories. */
export function* changeOptions(context: Context): Program {
  const { world, random } = context;
  const { root, pipes, nested, info } = world.directories;
  const isDirectory = random.oneIn(10);
  const node = isDirectory
    ? random.pick([root, nested, info])
    : yield* lookup(context, random.oneIn(8) ? nested : pipes, random.pick(queueNames));
  if (typeof node === 'number') return;
  const { nodeid } = node;
  const [option, value] = random.pick(settings);
  const name = `user.ipcfs.${option}`;
  const roomBytes = random.pick([0, 1, 1000]);
  switch (random.below(8)) {
    case 0: {
      const { error } = yield {
        opcode: Opcode.LISTXATTR,
        nodeid,
        body: (writer) => writer.u32(roomBytes).u32(0),
      };
      if (error !== 0) world.expect(error, 'listxattr', ERANGE);
      return;
    }
    case 1: {
      const { error } = yield {
        opcode: Opcode.GETXATTR,
        nodeid,
        body: (writer) => writer.u32(roomBytes).u32(0).name(name),
      };
      if (error !== 0) world.expect(error, 'getxattr', ERANGE, ENODATA, EOPNOTSUPP);
      return;
    }
    case 2: {
      const { error } = yield {
        opcode: Opcode.REMOVEXATTR,
        nodeid,
        body: (writer) => {
          loosen(context, node);
          writer.name(name);
        },
      };
      if (error !== 0) world.expect(error, 'removexattr', EPERM, ENOMEM, EBUSY, EINVAL, ENODATA, EOPNOTSUPP);
      return;
    }
    default: {
      const flags = random.pick([0, 0, 0, 0, 1, 2, 8]);
      const { error } = yield {
        note: `${option}=${value}`,
        opcode: Opcode.SETXATTR,
        nodeid,
        body: (writer) => {
          loosen(context, node);
          writer.u32(value.length).u32(flags).name(name).bytes(bytesOf(value));
        },
      };
      if (error !== 0)
        world.expect(error, 'setxattr', EPERM, ENOMEM, EBUSY, EEXIST, EINVAL, ENODATA, EOPNOTSUPP);
    }
  }
}

/** What is read of the pipe from now on may be anything that was written. */
function loosen({ world }: Context, { nodeid }: KernelNode): void {
  const pipe = world.session.nodes.get(nodeid)?.node;
  const end = pipe instanceof PipeNode ? pipe.fifo.end : null;
  if (end !== null) world.streams.get(end)!.isLoose = true;
}
