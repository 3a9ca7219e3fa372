import { expect } from 'vitest';
import type { TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import type { Case } from './case.ts';

const SIZE_BYTES = 65536;

/** Two processes that map a file each by a path; what one stores the other sees, and read(2) too. */
async function shareMemory(mount: TestMount, one: string, other: string): Promise<void> {
  const a = await mount.driver();
  const b = await mount.driver();
  const fdA = await a.open(one, 'rw');
  const fdB = await b.open(other, 'rw');
  const mapA = await a.map(fdA, SIZE_BYTES);
  const mapB = await b.map(fdB, SIZE_BYTES);
  expect(await a.peek(mapA, 0, 5)).toBe('hello');
  await a.poke(mapA, 10, 'from a');
  expect(await b.peek(mapB, 10, 6)).toBe('from a');
  await b.poke(mapB, 60_000, 'from b');
  expect(await a.peek(mapA, 60_000, 6)).toBe('from b');
  expect((await a.call({ call: 'pread', fd: fdA, count: 6, offset: 60_000 })).text).toBe('from b');
  await mount.endDrivers();
}

/** How many bytes of segments the server is asked for when a process maps one and looks into it. */
async function bytesReadByMapping(mount: TestMount): Promise<number> {
  const name = 'ipcfs_read_bytes_total{engine="shm"}';
  const count = async (): Promise<number> =>
    Number(await mount.output(`awk '$1 == "${name.replaceAll('"', '\\"')}" { print $2 }' info/metrics`));
  await mount.output(`truncate -s ${SIZE_BYTES} shm/0x4321`);
  const before = await count();
  const driver = await mount.driver();
  const map = await driver.map(await driver.open('shm/0x4321', 'rw'), SIZE_BYTES);
  expect(await driver.peek(map, 40_000, 1)).toBe('\0');
  await mount.endDrivers();
  const bytes = (await count()) - before;
  await mount.output('rm shm/0x4321');
  return bytes;
}

const MAKE = `truncate -s ${SIZE_BYTES} shm/0x1234; printf hello | dd of=shm/0x1234 conv=notrunc status=none`;

export const segmentCases: readonly Case[] = [
  {
    name: 'a segment made by truncate, filled by dd, read by od',
    run: `${MAKE}; test "$(od -An -c -N 6 shm/0x1234 | tr -d ' ')" = 'hello\\0'; test "$(stat -c %s shm/0x1234)" = ${SIZE_BYTES}; rm shm/0x1234; test -z "$(ls shm/id)"; echo ok`,
  },
  {
    name: 'two processes that map a segment see what the other stores',
    async run(mount) {
      await mount.output(MAKE);
      await shareMemory(mount, 'shm/0x1234', 'shm/0x1234');
      await mount.output('rm shm/0x1234');
    },
  },
  {
    name: 'a segment is the same memory by its key and by its id',
    async run(mount) {
      await mount.output(MAKE);
      const id = (await mount.output('ls shm/id')).trim();
      await shareMemory(mount, 'shm/0x1234', `shm/id/${id}`);
      await mount.output(`rm shm/id/${id}; ! ls shm/0x1234 2> /dev/null`);
    },
  },
  {
    name: 'mappings are the memory itself',
    needs: ['passthrough'],
    run: async (mount) => {
      expect(await bytesReadByMapping(mount)).toBe(0);
    },
    without: async (mount) => {
      expect(await bytesReadByMapping(mount)).toBeGreaterThan(0);
    },
  },
  {
    name: 'a segment that is mapped keeps its bytes when it is opened with >',
    async run(mount) {
      await mount.output(MAKE);
      const driver = await mount.driver();
      const map = await driver.map(await driver.open('shm/0x1234', 'rw'), SIZE_BYTES);
      expect(await driver.peek(map, 0, 5)).toBe('hello');
      await mount.sh('exec 3> shm/0x1234');
      expect(await driver.peek(map, 0, 5)).toBe('hello');
      await mount.endDrivers();
      await mount.output('rm shm/0x1234');
    },
  },
  {
    name: 'info/shm says who maps a segment, and counts who has it',
    async run(mount) {
      await mount.output(MAKE);
      const driver = await mount.driver();
      await driver.map(await driver.open('shm/0x1234', 'rw'), SIZE_BYTES);
      expect(await mount.table('shm')).toMatchObject([{ nattch: 1, 'mapped-by': String(driver.pid) }]);
      await mount.endDrivers();
      await until(async () => (await mount.table('shm'))[0]!['nattch'] === 0);
      await mount.output('rm shm/0x1234');
    },
  },
  {
    name: 'a segment made by cp has the bytes and the size of the file',
    run: `seq 5000 | cp /dev/stdin /dev/shm/ipcfs-case-$$; cp /dev/shm/ipcfs-case-$$ shm/0x99; cmp /dev/shm/ipcfs-case-$$ shm/0x99
      rm shm/0x99 /dev/shm/ipcfs-case-$$; echo ok`,
  },
  {
    name: 'a segment that is removed while it is open stays with those who have it',
    run: `${MAKE}; exec 3<>shm/0x1234; rm shm/0x1234; test -z "$(ls shm/id)"; test "$(head -c5 <&3)" = hello; exec 3>&-; echo ok`,
  },
  {
    name: 'a creation without a size leaves nothing',
    run: `exec 3<>shm/0x77; exec 3>&-; until ! ls shm/0x77 2> /dev/null; do :; done; echo ok`,
  },
  {
    name: 'writing beyond the end of a segment is ENOSPC, another size EINVAL',
    run: `${MAKE}; (printf x | dd of=shm/0x1234 bs=1 seek=${SIZE_BYTES} conv=notrunc status=none) 2>&1 | grep -q 'No space left'
      truncate -s 8K shm/0x1234 2>&1 | grep -q 'Invalid argument'; rm shm/0x1234; echo ok`,
  },
  {
    name: 'a name in shm/ that is no key cannot be made: EINVAL',
    run: `touch shm/frob 2>&1 | grep -q 'Invalid argument'; mkdir shm/0x55 2>&1 | grep -q 'not permitted'; echo ok`,
  },
  {
    name: 'shm/ctl answers requests, private segments by id among them',
    run: `exec 3<>shm/ctl; echo 'get private 8K create 0640' >&3; read -r word id <&3; test $word = ok; test "$(stat -c '%a %s' shm/id/$id)" = '640 8192'
      echo "frob 1" >&3; read -r answer <&3; test "$answer" = 'error EINVAL unknown word "frob"'; echo "rmid $id" >&3; read -r answer <&3; test "$answer" = ok; exec 3>&-; echo ok`,
  },
  {
    name: 'the id of a segment and every spelling of its key are names of it',
    needs: ['sameFile'],
    run: `${MAKE}; id=$(ls shm/id); test ! -L shm/id/$id; test ! -L shm/4660; test "$(stat -c %i shm/id/$id)" = "$(stat -c %i shm/4660)"; rm shm/0x1234; echo ok`,
    without: `${MAKE}; id=$(ls shm/id); test "$(readlink shm/id/$id)" = ../0x1234; test "$(readlink shm/4660)" = 0x1234; test ! -L shm/0x1234
      test "$(stat -Lc %s shm/id/$id)" = ${SIZE_BYTES}; rm shm/0x1234; echo ok`,
  },
  {
    name: 'shm/ is part of the mount, and shm/ctl a file',
    needs: ['perOpenDirectIo'],
    run: `test "$(stat -c %d .)" = "$(stat -c %d shm)"; test ! -L shm/ctl; echo ok`,
    without: `test "$(stat -c %d .)" != "$(stat -c %d shm)"; test -L shm/ctl; test "$(stat -Lc %F shm/ctl)" = 'regular empty file'; echo ok`,
  },
];
