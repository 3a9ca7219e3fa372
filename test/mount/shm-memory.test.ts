import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import { makeSegment, MIB, procBytes, segmentRow, untilNoSegments } from '../support/shm-files.ts';

/** What other processes of the machine may change meanwhile. */
const TOLERANCE_BYTES = 24 * MIB;
const HELD_BYTES = 64 * MIB;
const LARGE_BYTES = 256 * MIB;

function sharedMemoryBytes(): number {
  return procBytes('/proc/meminfo', 'Shmem');
}

/** Waits for the machine's shared memory to be `bytes`, about. */
async function untilShared(bytes: number): Promise<void> {
  await until(
    () => Math.abs(sharedMemoryBytes() - bytes) < TOLERANCE_BYTES,
    () => `Shmem at ${bytes / MIB} MiB, it is ${sharedMemoryBytes() / MIB}`,
  );
}

describe.each(['passthrough', 'cached'])('--shm-backing %s', (backing) => {
  describeMount('memory of segments', () => {
    let mount: TestMount;
    beforeAll(async () => {
      mount = await TestMount.start(['--shm-backing', backing]);
    });
    afterAll(() => mount.stop());

    async function filled(
      path: string,
      size: number,
    ): Promise<{ driver: Driver; fd: number; mapping: number }> {
      const driver = await mount.driver();
      const fd = await makeSegment(driver, path, size);
      const mapping = await driver.map(fd, size);
      await driver.call({ call: 'fill', mapping, byte: 0x5a });
      return { driver, fd, mapping };
    }

    test('S46: memory comes back with the last descriptor and mapping of a removed segment', async () => {
      const before = sharedMemoryBytes();
      const { driver, fd, mapping } = await filled('shm/0x10', HELD_BYTES);
      await driver.call({ call: 'munmap', mapping });
      await driver.close(fd);
      await untilShared(before + HELD_BYTES);
      // Nobody uses it, and it stays: it has a name.
      expect(await mount.table('shm')).toHaveLength(1);
      const again = await driver.open('shm/0x10', 'rw');
      const second = await driver.map(again, HELD_BYTES);
      await driver.close(again);
      await mount.output('rm shm/0x10');
      // The mapping alone keeps it.
      expect((await driver.call({ call: 'countOther', mapping: second, byte: 0x5a })).result).toBe(0);
      expect(await mount.table('shm')).toMatchObject([{ state: 'removed', nattch: 1 }]);
      await untilShared(before + HELD_BYTES);
      await driver.call({ call: 'munmap', mapping: second });
      await untilNoSegments(mount);
      await untilShared(before);
    });

    test('S55, S65: and when the owner of the last mapping was killed', async () => {
      const before = sharedMemoryBytes();
      const { driver } = await filled('shm/0x11', HELD_BYTES);
      const [row] = await mount.table('shm');
      await mount.output('rm shm/0x11');
      expect(await mount.output('ls shm/id')).toBe('');
      expect(await segmentRow(mount, Number(row!['id']))).toMatchObject({ state: 'removed', nattch: 1 });
      await untilShared(before + HELD_BYTES);
      driver.kill();
      await untilNoSegments(mount);
      await untilShared(before);
    });

    test('S55, S65: and when it only mapped the segment, its descriptor closed', async () => {
      const before = sharedMemoryBytes();
      const { driver, fd } = await filled('shm/0x14', HELD_BYTES);
      const [row] = await mount.table('shm');
      await driver.close(fd);
      await mount.output('rm shm/0x14');
      await untilShared(before + HELD_BYTES);
      expect(await segmentRow(mount, Number(row!['id']))).toMatchObject({ state: 'removed', nattch: 1 });
      driver.kill();
      await untilNoSegments(mount);
      await untilShared(before);
    });

    test('S16: 256 MiB cost 256 MiB of shared memory once, and none of the server', async () => {
      const before = sharedMemoryBytes();
      const server = `/proc/${mount.server.pid}/status`;
      const serverBefore = procBytes(server, 'VmRSS');
      const { driver, mapping } = await filled('shm/0x12', LARGE_BYTES);
      await untilShared(before + LARGE_BYTES);
      expect((await driver.call({ call: 'countOther', mapping, byte: 0x5a })).result).toBe(0);
      expect(await mount.output('cat shm/0x12 | tail -c 1')).toBe('Z');
      await untilShared(before + LARGE_BYTES);
      expect(procBytes(server, 'VmRSS') - serverBefore).toBeLessThan(LARGE_BYTES / 2);
      await mount.output('rm shm/0x12');
      driver.kill();
      await untilNoSegments(mount);
      await untilShared(before);
    });

    test('S10: a sparse segment costs what has been touched', async () => {
      const before = sharedMemoryBytes();
      const driver = await mount.driver();
      const fd = await makeSegment(driver, 'shm/0x13', 1024 * MIB);
      await driver.poke(await driver.map(fd, 1024 * MIB), 1024 * MIB - 4, 'last');
      expect(await mount.output('tail -c 4 shm/0x13')).toBe('last');
      expect(Math.abs(sharedMemoryBytes() - before)).toBeLessThan(TOLERANCE_BYTES);
      await mount.output('rm shm/0x13');
      driver.kill();
      await untilNoSegments(mount);
    });
  });
});
