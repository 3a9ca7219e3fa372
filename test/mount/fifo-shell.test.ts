import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

describeMount('named pipes from a shell', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  test('P125 P126 P133: echo and cat meet in a pipe that mkfifo made', async () => {
    const script = 'mkfifo pipes/a; echo hello > pipes/a & cat pipes/a; wait';
    expect(await mount.output(script)).toBe('hello\n');
  });

  test('P39: a signal ends a blocked read with EINTR', async () => {
    const driver = await mount.driver();
    await mount.output('mkfifo pipes/eintr');
    const fd = await driver.open('pipes/eintr', 'rw');
    const read = driver.begin({ call: 'read', fd, count: 10 });
    await mount.untilBlocked('pipes/eintr', 'piperd');
    driver.interrupt();
    expect((await read.promise).result).toBe(-4);
  });
});
