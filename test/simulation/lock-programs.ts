import { assert } from '../../src/kern/assert.ts';
import {
  LK_FLOCK,
  LOCK_TO_END_HIGH,
  LOCK_TO_END_LOW,
  LockType,
  Opcode,
} from '../../src/transports/raw/protocol/constants.ts';
import type { Answer, KernelFile } from './kernel.ts';
import type { Program } from './processes.ts';
import { type Context, pickFile, type Steps } from './programs.ts';

const LOCKABLE = ['pipe', 'kqueue', 'segment'] as const;
/** What ranges begin and end at. */
const OFFSETS = 12;

/** A range that goes on past any end of file ends here, in place of the largest offset. */
const LAST_OFFSET = Infinity;

interface Lock {
  readonly owner: number;
  readonly start: number;
  readonly end: number;
  readonly type: number;
  readonly flags: number;
}

function* lockCall({ thread }: Context, file: KernelFile, opcode: number, lock: Lock): Steps<Answer> {
  const { owner, start, end, type, flags } = lock;
  return yield {
    opcode,
    note: `${flags === LK_FLOCK ? 'flock' : 'fcntl'} type ${type} from ${start} to ${end}`,
    nodeid: file.node.nodeid,
    file,
    body: (writer) => {
      writer.u64(file.handle).u64(owner).u64(start);
      if (end === Infinity) writer.u32(LOCK_TO_END_LOW).u32(LOCK_TO_END_HIGH);
      else writer.u64(end);
      writer.u32(type).u32(thread.process.pid).u32(flags).u32(0);
    },
  };
}

/** The inode of a file: its nodeids differ. */
function inodeOf({ world }: Context, file: KernelFile): number {
  return world.fileSystem.openFiles.get(file.handle)!.node.inode;
}

/** flock(2): what is granted excludes what others have. */
export function* flock(context: Context): Program {
  const { world, random } = context;
  const file = pickFile(context, ...LOCKABLE);
  if (file === null) return;
  const type = random.pick([LockType.Shared, LockType.Exclusive, LockType.Exclusive, LockType.Unlocked]);
  const opcode = random.oneIn(2) ? Opcode.SETLK : Opcode.SETLKW;
  // A call that does not succeed may give up what the file has.
  file.flock = null;
  const lock = { owner: file.handle, start: 0, end: LAST_OFFSET, type, flags: LK_FLOCK };
  const answer = yield* lockCall(context, file, opcode, lock);
  if (answer.error !== 0) {
    assert(type !== LockType.Unlocked, 'an unlock of a whole file succeeds');
    world.expect(answer.error, 'flock', opcode === Opcode.SETLK ? -11 : -4);
    return;
  }
  world.kernel.count(`flock type ${type}`);
  // Another thread may have called meanwhile: then nothing is certain.
  if (answer.isRefused || file.calls > 0 || !world.kernel.files.has(file.handle)) return;
  if (type === LockType.Unlocked) return;
  const isExclusive = type === LockType.Exclusive;
  const inode = inodeOf(context, file);
  for (const other of world.kernel.files.values()) {
    if (other === file || other.flock === null || inodeOf(context, other) !== inode) continue;
    assert(!isExclusive && other.flock === 'shared', 'an exclusive lock is alone');
    world.kernel.count('flock shared by two');
  }
  file.flock = isExclusive ? 'exclusive' : 'shared';
}

/** fcntl(2) with F_GETLK, F_SETLK and F_SETLKW; the owner is the process. */
export function* lockRange(context: Context): Program {
  const { world, thread, random } = context;
  const file = pickFile(context, 'segment', ...(random.oneIn(8) ? LOCKABLE : []));
  if (file === null) return;
  const opcode = random.pick([Opcode.GETLK, Opcode.SETLK, Opcode.SETLKW, Opcode.SETLKW]);
  const start = random.below(OFFSETS);
  const end = random.oneIn(6) ? LAST_OFFSET : random.between(start, OFFSETS);
  const type = random.below(3);
  const lock = { owner: thread.process.pid, start, end, type, flags: 0 };
  const answer = yield* lockCall(context, file, opcode, lock);
  if (file.kind !== 'segment') {
    assert(answer.error === -22, 'only segments have ranges to lock');
    return;
  }
  if (answer.error !== 0) {
    // An unlock fails only where it cuts a range in two and there is no memory.
    const errors = opcode === Opcode.SETLK ? [-11] : [-4, -35];
    world.expect(answer.error, 'fcntl', ...(type === LockType.Unlocked ? [] : errors));
    return;
  }
  if (opcode !== Opcode.GETLK) return;
  const { view } = answer;
  const found = view.getUint32(16, true);
  if (found === LockType.Unlocked) return;
  world.kernel.count('lock in the way');
  assert(found === LockType.Exclusive || type === LockType.Exclusive, 'shared locks are not in the way');
  const foundStart = view.getUint32(0, true);
  const foundEnd = view.getUint32(12, true) === 0 ? view.getUint32(8, true) : LAST_OFFSET;
  assert(foundStart <= end && foundEnd >= start, 'what is in the way overlaps');
}
