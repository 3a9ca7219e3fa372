import { expect, test } from 'vitest';
import { findMappings, type OpenMaps, type ProcessMaps } from '../../src/host/linux/processes/mappings.ts';

const MINOR = 0x4d;
const MIB = 1024 * 1024;

function line(inode: number, name = '/mnt/shm/1', device = '00:4d'): string {
  return `7f0000000000-7f0000001000 rw-s 00000000 ${device} ${inode} ${' '.repeat(10)}${name}\n`;
}

function errorOf(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** Processes with these maps; what is no text is how reading it fails. */
class Processes implements ProcessMaps {
  readonly texts = new Map<number, string | Error>();
  readonly uids = new Map<number, number>();
  readonly opened: number[] = [];
  readBytes = 0;
  afterOpen: (pid: number) => void = () => undefined;

  add(pid: number, text: string | Error, uid = 1001): this {
    this.texts.set(pid, text);
    this.uids.set(pid, uid);
    return this;
  }

  pids(): number[] {
    return [...this.texts.keys()];
  }

  uidOf(pid: number): number {
    return this.uids.get(pid)!;
  }

  open(pid: number): OpenMaps {
    this.opened.push(pid);
    const text = this.texts.get(pid)!;
    if (typeof text !== 'string') throw text;
    this.afterOpen(pid);
    let at = 0;
    return {
      uid: this.uids.get(pid)!,
      close: () => undefined,
      read: (target) => {
        const count = Math.min(target.length, text.length - at);
        Buffer.from(text.slice(at, at + count), 'latin1').copy(target);
        at += count;
        this.readBytes += count;
        return count;
      },
    };
  }
}

test('ranges are counted by inode and process, of the one device', () => {
  const maps = new Processes()
    .add(10, line(7) + line(8, '/x', 'fe:00') + line(7) + line(9))
    .add(20, line(7, '/x 00:4d 7 y') + line(7, '/y', '00:4e') + line(5, '', '00:00'))
    .add(30, '');
  expect(findMappings(MINOR, { maps })).toEqual({
    mappings: [
      [7, 10, 2],
      [9, 10, 1],
      [7, 20, 1],
    ],
    unseen: [],
  });
});

test('a name that says what a line would say is not believed', () => {
  const maps = new Processes().add(
    10,
    line(7, '/tmp/\\012 00:4d 9 x', 'fe:00') + line(3, ' 00:4d 9 ', 'fe:00'),
  );
  expect(findMappings(MINOR, { maps })).toEqual({ mappings: [], unseen: [] });
});

test('of a process with names of any length a mebibyte is read, and the result is said to be partial', () => {
  const maps = new Processes().add(10, line(7, '\\012'.repeat(4000)).repeat(500)).add(20, line(8));
  const { mappings, unseen } = findMappings(MINOR, { maps });
  expect([unseen, mappings.find(([inode]) => inode === 8)]).toEqual([[[10, 1001]], [8, 20, 1]]);
  expect(maps.readBytes).toBeLessThan(1.2 * MIB);
});

test('a user has a share of each look, whatever he starts, and others are seen all the same', () => {
  const maps = new Processes();
  const many = line(7).repeat(14_000);
  for (let pid = 100; pid < 130; pid++) maps.add(pid, many, 1001);
  maps.add(200, line(8), 1002).add(201, line(9), 0);
  const { mappings, unseen } = findMappings(MINOR, { maps });
  expect(new Set(unseen.map(([, uid]) => uid))).toEqual(new Set([1001]));
  expect(maps.readBytes).toBeLessThan(10 * MIB);
  expect(mappings.filter(([inode]) => inode !== 7)).toEqual([
    [8, 200, 1],
    [9, 201, 1],
  ]);
});

test.each(['ENOENT', 'ESRCH', 'EACCES', 'EPERM'])('a process that fails with %s maps nothing', (code) => {
  const maps = new Processes().add(10, errorOf(code)).add(20, line(8));
  expect(findMappings(MINOR, { maps })).toEqual({ mappings: [[8, 20, 1]], unseen: [] });
});

test.each([
  ['EMFILE', errorOf('EMFILE')],
  ['an unreadable line', `x 00:4d 7 ${line(7)}`],
])('%s makes the result partial', (_, text) => {
  const maps = new Processes().add(10, text).add(20, line(8));
  expect(findMappings(MINOR, { maps })).toEqual({ mappings: [[8, 20, 1]], unseen: [[10, 1001]] });
});

test('children that begin during the look are seen', () => {
  const maps = new Processes().add(10, line(7));
  maps.afterOpen = (pid) => {
    if (pid === 10) maps.add(11, line(7));
  };
  expect(findMappings(MINOR, { maps }).mappings).toEqual([
    [7, 10, 1],
    [7, 11, 1],
  ]);
});

test('processes that start all the time do not make a look endless', () => {
  const maps = new Processes().add(10, line(7));
  maps.afterOpen = (pid) => void maps.add(pid + 1, line(7));
  findMappings(MINOR, { maps });
  expect(maps.opened.length).toBeLessThan(10);
});

test('a process that hangs is left out, which is said', () => {
  const maps = new Processes().add(10, line(7)).add(20, line(8));
  expect(findMappings(MINOR, { maps, enter: (pid) => pid !== 10 })).toEqual({
    mappings: [[8, 20, 1]],
    unseen: [[10, 1001]],
  });
  expect(maps.opened).toEqual([20]);
});
