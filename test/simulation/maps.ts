import {
  findMappings,
  type MappingsSeen,
  type OpenMaps,
  type ProcessMaps,
} from '../../src/host/linux/processes/mappings.ts';
import { assert } from '../../src/kern/assert.ts';
import type { Random } from '../support/random.ts';

const DEVICE_MINOR = 77;
const MIB = 1024 * 1024;
/** One read may go beyond a limit. */
const CHUNK_BYTES = 64 * 1024;

/** How a process may answer who reads its maps. */
const answers = [
  'plain',
  'plain',
  'plain',
  'huge',
  'endless',
  'malformed',
  'gone',
  'forbidden',
  'failing',
] as const;
type Answer = (typeof answers)[number];

function errorOf(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** The file /proc/PID/maps of processes that want to harm who reads it. */
class HostileMaps implements ProcessMaps {
  readonly #random: Random;
  readonly #uids: ReadonlyMap<number, number>;
  readonly answers = new Map<number, Answer>();
  readonly readBytes = new Map<number, number>();
  openCount = 0;
  /** What processes that answer plainly map: inodes by process. */
  readonly truth = new Map<number, number>();

  constructor(random: Random, uids: ReadonlyMap<number, number>) {
    this.#random = random;
    this.#uids = uids;
  }

  pids(): number[] {
    return [...this.#uids.keys()];
  }

  uidOf(pid: number): number {
    return this.#uids.get(pid) ?? -1;
  }

  open(pid: number): OpenMaps {
    const answer = this.#random.pick(answers);
    this.answers.set(pid, answer);
    if (answer === 'forbidden') throw errorOf('EACCES');
    this.openCount++;
    const inode = 1 + this.#random.below(50);
    const name = answer === 'huge' ? '\\012'.repeat(4000) : '/dev/shm/x (deleted)';
    const line = `7f0000000000-7f0000001000 rw-s 00000000 00:4d ${inode} ${' '.repeat(8)}${name}\n`;
    const other = `7f0000001000-7f0000002000 r--p 00000000 fe:00 ${inode} /lib/x\n7ffc0-7ffd0 rw-p 00000000 00:00 0 \n`;
    let text = answer === 'huge' ? line.repeat(200) : other + line;
    if (answer === 'endless') text = text.repeat(1000);
    if (answer === 'malformed') text = `${text.slice(0, -30)}\n\0\x80 00:4d ${inode} - ${inode}\n`;
    if (answer === 'plain') this.truth.set(pid, inode);
    return {
      uid: this.#uids.get(pid)!,
      close: () => {
        this.openCount--;
      },
      read: (target) => {
        if (text === '') {
          if (answer === 'gone') throw errorOf('ESRCH');
          if (answer === 'failing') throw errorOf('EIO');
        }
        const count = Math.min(1 + this.#random.below(target.length), text.length);
        Buffer.from(target.buffer, target.byteOffset, target.length).write(text.slice(0, count), 'latin1');
        if (answer !== 'endless') text = text.slice(count);
        this.readBytes.set(pid, (this.readBytes.get(pid) ?? 0) + count);
        return count;
      },
    };
  }
}

/** A look at processes of these users, each of which answers as it likes. Fails when they get more than is theirs, or are believed. */
export function lookAtHostileMaps(random: Random, uids: ReadonlyMap<number, number>): MappingsSeen {
  const maps = new HostileMaps(random, uids);
  const seen = findMappings(DEVICE_MINOR, { maps });
  assert(maps.openCount === 0, 'what is opened is closed');
  const bytesOfUser = new Map<number, number>();
  for (const [pid, bytes] of maps.readBytes) {
    assert(bytes <= MIB + CHUNK_BYTES, 'no more than a mebibyte is read of a process');
    bytesOfUser.set(uids.get(pid)!, (bytesOfUser.get(uids.get(pid)!) ?? 0) + bytes);
  }
  for (const [uid, bytes] of bytesOfUser)
    assert(uid === 0 || bytes <= 8 * MIB + CHUNK_BYTES, 'a user has a share of each look');
  const found = new Map(seen.mappings.map(([inode, pid]) => [pid, inode]));
  for (const [pid, answer] of maps.answers) {
    const isFound = found.get(pid) === maps.truth.get(pid) && maps.truth.has(pid);
    if (answer === 'plain')
      assert(isFound || seen.unseen.some(([one]) => one === pid), 'who answers plainly is seen');
    else if (answer !== 'gone' && answer !== 'forbidden')
      assert(
        seen.unseen.some(([one]) => one === pid),
        'who cannot be read to the end is said to be missing',
      );
  }
  return seen;
}
