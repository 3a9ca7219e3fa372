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

    // Linux drops the cached pages of such a file: whoever maps it would be killed at the next access.
    test(`is ${backing === 'cached' ? 'refused' : 'granted'} while others have it open`, async () => {
      const script = `truncate -s 4096 shm/0x2; exec 3<>shm/0x2; (: > shm/0x2) 2>&1; stat -c %s shm/0x2`;
      const printed = await mount.output(script);
      if (backing === 'cached') expect(printed).toContain('Device or resource busy');
      else expect(printed).toBe('4096\n');
      expect(await mount.output('stat -c %s shm/0x2')).toBe('4096\n');
    });
  });
});
