import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

describe.each(['passthrough', 'cached'] as const)('opening segments with O_TRUNC, %s', (backing) => {
  describeMount('a segment', () => {
    let mount: TestMount;
    beforeAll(async () => {
      mount = await TestMount.start(['--shm-backing', backing]);
    });
    afterAll(() => mount.stop());

    test('keeps size and content when nobody else has it open', async () => {
      const script = `
        printf content | dd of=shm/0x1 status=none; truncate -s 7 shm/0x1
        : > shm/0x1; cat shm/0x1; stat -c ' %s' shm/0x1`;
      expect(await mount.output(script)).toBe('content 7\n');
    });

    test('keeps its mapped pages while others have it open', async () => {
      const driver = await mount.driver();
      await mount.output('truncate -s 4096 shm/0x2');
      const fd = await driver.open('shm/0x2', 'rw');
      const mapping = await driver.map(fd, 4096);
      await driver.call({ call: 'poke', mapping, offset: 4000, text: 'kept' });
      expect(await mount.output(': > shm/0x2; stat -c %s shm/0x2')).toBe('4096\n');
      const peek = { call: 'peek', mapping, offset: 4000, count: 4 } as const;
      expect((await driver.call(peek)).text).toBe('kept');
      expect((await driver.call({ call: 'fstat', fd })).stat?.size).toBe(4096);
      await mount.endDrivers();
    });
  });
});
