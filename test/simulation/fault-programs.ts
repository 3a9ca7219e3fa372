import { assert } from '../../src/kern/assert.ts';
import type { Program } from './processes.ts';
import {
  bytesOf,
  type Context,
  lookup,
  O_RDWR,
  open,
  pickFile,
  readCall,
  writeCall,
  writeResult,
} from './programs.ts';

const objects = [
  '**',
  'pipes/*',
  'pipes/a',
  'pipes/sub/*',
  'pairs/*/*',
  'pairs/p/0',
  'kqueues/*',
  'kqueue',
  'shm/*',
];
const actions = [
  ...[
    'read short=1',
    'read short=700',
    'read split=1000',
    'write short=5000',
    'write split=3000',
    'any split=4097',
  ],
  ...[
    'read delay=50ms',
    'write delay=1s',
    'open delay=10ms',
    'attach delay=10ms',
    'read stall',
    'write stall',
  ],
  ...['open stall', 'poll stall', 'any stall', 'read eof', 'read hangup', 'write hangup', 'poll hangup'],
  ...['read errno=EIO', 'write errno=ENOSPC', 'open errno=EMFILE', 'ioctl errno=EIO', 'attach errno=ENFILE'],
  ...['size errno=EDQUOT', 'any errno=EIO', 'read signal=USR1', 'any signal=TERM'],
];
const NO_WORDS = ['', '', ' count=1', ' count=3', ' when=2', ' every=2', ' p=0.3 seed=7'];

/** A request to `ctl` in the root. Few last long: what waits for them is to go on. */
export function* controlFaults(context: Context): Program {
  const { world, random, thread } = context;
  if (!world.hasFaults) return;
  let file = pickFile(context, 'faults');
  if (file === null) {
    const node = yield* lookup(context, world.directories.root, 'ctl');
    if (typeof node === 'number') return;
    const opened = yield* open(context, node, { kind: 'faults', flags: O_RDWR });
    if (typeof opened === 'number') return;
    file = opened;
  }
  const ids = [...world.fileSystem.faults.all()].map(({ id }) => id);
  const added = `fault add ${random.pick(objects)} ${random.pick(actions)}${random.pick(NO_WORDS)}`;
  const line = random.pick([
    added,
    random.oneIn(3) ? `${added.replace(/ count=.*/, '')} pid=${thread.process.pid}` : added,
    ...['fault remove all', 'fault remove all', 'fault list', 'fault frob'],
    `fault remove ${ids.length === 0 ? 1 : random.pick(ids)}`,
  ]);
  const result = writeResult(
    yield { ...writeCall(file, () => bytesOf(`${line}\n`)), note: line },
    line.length + 1,
  );
  if (result < 0) world.expect(result, 'write to ctl', -11);
  const answer = yield readCall(file, 65_536);
  if (answer.error !== 0) world.expect(answer.error, 'read of ctl');
  const text = Buffer.from(answer.payload).toString('latin1');
  assert(text === '' || /^(ok|error)\b.*\n/.test(text), `ctl answers, and not ${text}`);
}
