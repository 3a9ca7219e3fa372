import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { EACCES } from '../../src/kern/errno.ts';
import { O_CREAT, O_RDWR, PROT_READ, PROT_READ_WRITE } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import { ControlFile, makeSegment, PAGE, segmentRow, untilNoSegments } from '../support/shm-files.ts';

// Few enough for processes that share a processor, where each turn may cost a time slice.
const TURNS = 1000;
const TIMEOUT_MS = 15_000;

describe.each(['passthrough', 'cached'])('--shm-backing %s', (backing) => {
  describeMount('segments are one memory', () => {
    let mount: TestMount;
    beforeAll(async () => {
      mount = await TestMount.start(['--shm-backing', backing]);
    });
    afterAll(() => mount.stop());
    afterEach(async () => {
      await mount.output('cd shm && rm -f 0x*');
    });

    /** Two processes that map one segment, by two open files. */
    async function twoMaps(path: string, size: number) {
      const [a, b] = [await mount.driver(), await mount.driver()];
      const aFd = await makeSegment(a, path, size);
      const bFd = await b.open(path, 'rw');
      return { a, b, aFd, bFd, aMap: await a.map(aFd, size), bMap: await b.map(bFd, size) };
    }

    async function pingPong({ a, b, aMap, bMap }: Awaited<ReturnType<typeof twoMaps>>) {
      const turns = { call: 'pingPong', turns: TURNS, timeoutMs: TIMEOUT_MS } as const;
      const first = a.begin({ ...turns, mapping: aMap, isFirst: true });
      const second = b.begin({ ...turns, mapping: bMap, isFirst: false });
      return [(await first.promise).result, (await second.promise).result];
    }

    test('info/transport says which backing is in use', async () => {
      expect(await mount.table('transport')).toContainEqual({ name: 'shm-backing', value: backing });
    });

    test('S37: two processes take turns through a word of memory', async () => {
      const maps = await twoMaps('shm/0x1234', PAGE);
      expect(await pingPong(maps)).toEqual([TURNS, TURNS]);
      maps.a.kill();
      maps.b.kill();
    });

    test('S55: they still do after the name is gone', async () => {
      const maps = await twoMaps('shm/0x1235', PAGE);
      await mount.output('rm shm/0x1235');
      expect(await pingPong(maps)).toEqual([TURNS, TURNS]);
      maps.a.kill();
      maps.b.kill();
      await untilNoSegments(mount);
    });

    test('S37, S46: they still do after the creator has exited and after their descriptors are closed', async () => {
      const creator = await mount.driver();
      await makeSegment(creator, 'shm/0x1236', PAGE);
      const id = Number(await mount.output('ls shm/id'));
      const [a, b] = [await mount.driver(), await mount.driver()];
      const [aFd, bFd] = [await a.open('shm/0x1236', 'rw'), await b.open('shm/0x1236', 'rw')];
      const [aMap, bMap] = [await a.map(aFd, PAGE), await b.map(bFd, PAGE)];
      creator.kill();
      await creator.finished();
      await a.close(aFd);
      await b.close(bFd);
      expect(await pingPong({ a, b, aFd, bFd, aMap, bMap })).toEqual([TURNS, TURNS]);
      const mappers = [a.pid, b.pid].sort((one, other) => one - other).join(',');
      await until(async () => String((await segmentRow(mount, id))!['mapped-by']) === mappers);
      expect((await segmentRow(mount, id))!['nattch']).toBe(2);
      await a.call({ call: 'munmap', mapping: aMap });
      await until(async () => String((await segmentRow(mount, id))!['mapped-by']) === String(b.pid));
      await until(async () => (await segmentRow(mount, id))!['nattch'] === 1);
      b.kill();
      await until(async () => (await segmentRow(mount, id))!['nattch'] === 0);
    });

    test('S37: read(2) sees what another process has stored, and a mapping what another has written', async () => {
      const { a, b, aFd, bFd, aMap, bMap } = await twoMaps('shm/0x2', 3 * PAGE);
      // Into page caches first, where stale copies could stay.
      expect((await b.call({ call: 'pread', fd: bFd, count: 8, offset: 0 })).text).toBe('\0'.repeat(8));
      expect(await mount.output('head -c 4 shm/0x2 | od -An -tx1')).toBe(' 00 00 00 00\n');
      await a.poke(aMap, PAGE - 2, 'stored');
      expect((await b.call({ call: 'pread', fd: bFd, count: 6, offset: PAGE - 2 })).text).toBe('stored');
      expect(await mount.output(`tail -c +${PAGE - 1} shm/0x2 | head -c 6`)).toBe('stored');
      await b.call({ call: 'pwrite', fd: bFd, text: 'written', offset: 2 * PAGE - 3 });
      expect(await a.peek(aMap, 2 * PAGE - 3, 7)).toBe('written');
      expect(await b.peek(bMap, 2 * PAGE - 3, 7)).toBe('written');
      await mount.output('printf shell | dd of=shm/0x2 bs=1 seek=100 conv=notrunc status=none');
      expect(await a.peek(aMap, 100, 5)).toBe('shell');
      expect((await a.call({ call: 'pread', fd: aFd, count: 5, offset: 100 })).text).toBe('shell');
    });

    test('S37: what was stored before and after a close is what a later opener reads and maps', async () => {
      const a = await mount.driver();
      const fd = await makeSegment(a, 'shm/0x3', 2 * PAGE);
      const map = await a.map(fd, 2 * PAGE);
      await a.poke(map, 5, 'kept');
      await a.call({ call: 'munmap', mapping: map });
      await a.close(fd);
      const b = await mount.driver();
      const later = await b.open('shm/0x3', 'rw');
      expect((await b.call({ call: 'pread', fd: later, count: 4, offset: 5 })).text).toBe('kept');
      expect(await b.peek(await b.map(later, 2 * PAGE), 5, 4)).toBe('kept');
      expect(await mount.output('cmp -n 4 -i 5:0 shm/0x3 <(printf kept) && echo same')).toBe('same\n');
    });

    test('S37: a read-only descriptor cannot be mapped writable, nor its mapping be made so', async () => {
      const driver = await mount.driver();
      await makeSegment(driver, 'shm/0x4', PAGE);
      const fd = await driver.open('shm/0x4', 'r');
      const refused = { call: 'mmap', fd, length: PAGE, protection: PROT_READ_WRITE } as const;
      expect((await driver.call(refused)).result).toBe(-EACCES);
      const mapping = await driver.map(fd, PAGE, PROT_READ);
      const more = { call: 'mprotect', mapping, protection: PROT_READ_WRITE } as const;
      expect((await driver.call(more)).result).toBe(-EACCES);
      expect(await driver.peek(mapping, 0, 1)).toBe('\0');
    });

    test('S37: a store through a read-only mapping ends the process', async () => {
      const driver = await mount.driver();
      await makeSegment(driver, 'shm/0x5', PAGE);
      const mapping = await driver.map(await driver.open('shm/0x5', 'r'), PAGE, PROT_READ);
      const store = await driver.call({ call: 'fill', mapping, byte: 1 });
      expect(store.text).toBe('the driver ended with SIGSEGV');
      expect(await mount.output('od -An -tx1 -N2 shm/0x5')).toBe(' 00 00\n');
    });

    test('S16, S17: new memory is zero up to the end of its last page, which can be stored to', async () => {
      const { a, b, aMap, bMap } = await twoMaps('shm/0x6', 100);
      expect((await a.call({ call: 'countOther', mapping: aMap, byte: 0 })).result).toBe(0);
      await a.poke(aMap, PAGE - 1, 'z');
      expect(await b.peek(bMap, PAGE - 1, 1)).toBe('z');
      expect(await mount.output('stat -c %s shm/0x6; wc -c < shm/0x6; cat shm/0x6 | wc -c')).toBe(
        '100\n100\n100\n',
      );
    });

    test('S16: a key used again has zeros, whatever was there before', async () => {
      await mount.output('yes | head -c 8192 > shm/0x7; rm shm/0x7; truncate -s 8192 shm/0x7');
      expect(await mount.output('tr -d "\\000" < shm/0x7 | wc -c')).toBe('0\n');
    });

    test('S42: one process maps a segment several times, and each open file counts', async () => {
      const { a, aMap } = await twoMaps('shm/0x8', PAGE);
      const id = Number(await mount.output('ls shm/id'));
      const second = await a.open('shm/0x8', 'rw');
      const again = await a.map(second, PAGE);
      expect((await segmentRow(mount, id))!['nattch']).toBe(3);
      await a.poke(aMap, 0, 'one');
      expect(await a.peek(again, 0, 3)).toBe('one');
    });

    test('S38: what a creator has written before it maps is what it maps', async () => {
      const driver = await mount.driver();
      const { result: fd } = await driver.call({ call: 'open', path: 'shm/0x9', flags: O_CREAT | O_RDWR });
      await driver.write(fd, 'before');
      await driver.call({ call: 'ftruncate', fd, size: PAGE });
      const mapping = await driver.map(fd, PAGE);
      expect(await driver.peek(mapping, 0, 7)).toBe('before\0');
      const control = await ControlFile.open(mount);
      const id = Number(await mount.output('ls shm/id'));
      expect(await control.stat(id)).toMatchObject({ nattch: '1', lpid: String(driver.pid) });
    });
  });
});
