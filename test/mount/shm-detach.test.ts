import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { O_RDONLY, O_RDWR, PROT_READ } from '../support/driver-protocol.ts';
import type { Driver } from '../support/driver-client.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import { ControlFile, PAGE, removeAll, segmentRow, tryOpen } from '../support/shm-files.ts';

describe.each(['passthrough', 'cached'])('--shm-backing %s', (backing) => {
  describeMount('an attachment lasts until its descriptor and its mappings are gone', () => {
    let mount: TestMount;
    let control: ControlFile;
    const children: number[] = [];
    beforeAll(async () => {
      mount = await TestMount.start(['--shm-backing', backing]);
    });
    beforeEach(async () => {
      control = await ControlFile.open(mount);
    });
    afterAll(() => mount.stop());
    afterEach(async () => {
      for (const child of children.splice(0)) process.kill(child, 'SIGKILL');
      await mount.endDrivers();
      await removeAll(mount);
    });

    async function attachCount(id: number): Promise<number> {
      return Number((await control.stat(id))['nattch']);
    }

    async function untilAttached(id: number, count: number): Promise<void> {
      await until(
        async () => (await attachCount(id)) === count,
        async () => `nattch ${count}, which is ${await attachCount(id)}`,
      );
    }

    /** Holds for some rounds of requests, also when they had the time to become wrong. */
    async function staysAttached(id: number, count: number): Promise<void> {
      const untilMs = performance.now() + 150;
      while (performance.now() < untilMs) expect(await attachCount(id)).toBe(count);
    }

    /** The usual idiom: open, mmap, close. */
    async function mapOnly(driver: Driver, path: string, size = PAGE, mode = 'rw'): Promise<number> {
      const fd = await driver.open(path, mode);
      const mapping = await driver.map(fd, size, mode === 'r' ? PROT_READ : undefined);
      await driver.close(fd);
      return mapping;
    }

    test('info/transport says that the last unmapping detaches', async () => {
      expect(await mount.table('transport')).toContainEqual({ name: 'shm-detach', value: 'last-unmap' });
    });

    test('S46: a mapping alone is an attachment, until it is unmapped whole', async () => {
      const id = await control.id(`get 1 ${4 * PAGE} create`);
      const driver = await mount.driver();
      const mapping = await mapOnly(driver, 'shm/1', 4 * PAGE);
      await staysAttached(id, 1);
      await driver.call({ call: 'munmapEnd', mapping, count: PAGE });
      await driver.call({ call: 'mprotect', mapping, protection: PROT_READ });
      await staysAttached(id, 1);
      await driver.call({ call: 'munmap', mapping });
      await untilAttached(id, 0);
      expect((await control.stat(id))['lpid']).toBe(String(driver.pid));
    });

    test('S46: a descriptor alone is one too, after its mapping is gone', async () => {
      const id = await control.id(`get 1 ${PAGE} create`);
      const driver = await mount.driver();
      const fd = await driver.open('shm/1', 'rw');
      await driver.call({ call: 'munmap', mapping: await driver.map(fd, PAGE) });
      await staysAttached(id, 1);
      await driver.close(fd);
      await untilAttached(id, 0);
    });

    test('S42, S46: others that open, read and close do not end it', async () => {
      const id = await control.id(`get 1 ${PAGE} create`);
      const [a, b] = [await mount.driver(), await mount.driver()];
      const mapping = await mapOnly(a, 'shm/1');
      for (let round = 0; round < 20; round++) {
        await mount.output('head -c 4 shm/1 > /dev/null');
        expect(await tryOpen(b, 'shm/1', O_RDWR)).toBe('ok');
      }
      const second = await mapOnly(b, 'shm/1', PAGE, 'r');
      // Until both have been seen mapped: where /proc answers late the end is taken for that of one who was not (M12).
      await staysAttached(id, 2);
      await a.call({ call: 'munmap', mapping });
      await untilAttached(id, 1);
      expect((await control.stat(id))['lpid']).toBe(String(a.pid));
      await staysAttached(id, 1);
      await b.call({ call: 'munmap', mapping: second });
      await untilAttached(id, 0);
    });

    test('S46, S65: several of one process that end together all count, whoever else has the segment', async () => {
      const id = await control.id(`get 1 ${PAGE} create`);
      const [a, b, c] = [await mount.driver(), await mount.driver(), await mount.driver()];
      for (let index = 0; index < 5; index++) await mapOnly(a, 'shm/1');
      const fd = await b.open('shm/1', 'rw');
      await b.map(fd, PAGE);
      await mapOnly(c, 'shm/1');
      await untilAttached(id, 7);
      a.kill();
      await untilAttached(id, 2);
      await staysAttached(id, 2);
      b.kill();
      await untilAttached(id, 1);
      c.kill();
      await untilAttached(id, 0);
    });

    test('S56: the slot and the pages of a removed segment are kept by a mapping, and then free', async () => {
      const pages = await mount.sysctl('kern.ipc.shmmaxpgs');
      await mount.setSysctl('kern.ipc.shmmaxpgs', 1);
      const id = await control.id('get 1 1 create');
      const driver = await mount.driver();
      const mapping = await mapOnly(driver, 'shm/1');
      expect(await control.ask(`rmid ${id}`)).toBe('ok');
      expect(await control.ask('get 2 1 create')).toBe('error ENOMEM');
      await driver.call({ call: 'munmap', mapping });
      await until(async () => (await control.ask('get 2 1 create')).startsWith('ok'));
      await mount.setSysctl('kern.ipc.shmmaxpgs', pages);
    });

    test('S63: a child that inherits a mapping keeps the attachment, which stays one', async () => {
      const id = await control.id(`get 1 ${PAGE} create`);
      const driver = await mount.driver();
      await mapOnly(driver, 'shm/1');
      const { result: child } = await driver.call({ call: 'fork' });
      expect(child).toBeGreaterThan(0);
      children.push(child);
      await staysAttached(id, 1);
      // Not its whole group, which the child is in.
      process.kill(driver.pid, 'SIGKILL');
      await until(async () => (await segmentRow(mount, id))!['mapped-by'] === String(child));
      await mount.output('cat shm/1 > /dev/null');
      await untilAttached(id, 1);
      await staysAttached(id, 1);
      process.kill(child, 'SIGKILL');
      children.pop();
      await untilAttached(id, 0);
    });

    test('S33: mappings count for shmseg as long as they are there', async () => {
      await control.id(`get 1 ${PAGE} create`);
      const driver = await mount.driver();
      const first = await mapOnly(driver, 'shm/1');
      await mapOnly(driver, 'shm/1');
      await mount.setSysctl('kern.ipc.shmseg', 2);
      expect(await tryOpen(driver, 'shm/1', O_RDONLY)).toBe('EMFILE');
      await driver.call({ call: 'munmap', mapping: first });
      await until(async () => (await tryOpen(driver, 'shm/1', O_RDONLY)) === 'ok');
      await mount.setSysctl('kern.ipc.shmseg', 128);
    });

    test('mapped-by and nattch of info/shm agree when every process maps once', async () => {
      const id = await control.id(`get 1 ${PAGE} create`);
      const drivers = [await mount.driver(), await mount.driver(), await mount.driver()];
      for (const driver of drivers) await mapOnly(driver, 'shm/1');
      for (let left = drivers.length; left >= 0; left--) {
        const mappers = drivers.slice(0, left).map(({ pid }) => String(pid));
        await until(async () => {
          const row = (await segmentRow(mount, id))!;
          const listed = String(row['mapped-by'])
            .split(',')
            .filter((pid) => pid !== '');
          return row['nattch'] === left && listed.sort().join() === mappers.sort().join();
        });
        if (left > 0) drivers[left - 1]!.kill();
      }
    });
  });
});
