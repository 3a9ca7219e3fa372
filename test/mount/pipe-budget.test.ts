import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { readPattern } from '../support/pipe-ends.ts';

const ENOMEM = -12;
const EAGAIN = -11;
const ENXIO = -6;
const REVERSE_BYTES = 4096;

/** A mount with a small kern.ipc.maxpipekva, and a driver that opens pipes in it. */
class Budget {
  readonly mount: TestMount;
  readonly driver: Driver;
  #pipes = 0;
  readonly #open: number[] = [];

  private constructor(mount: TestMount, driver: Driver) {
    this.mount = mount;
    this.driver = driver;
  }

  static async start(maximumBytes: number): Promise<Budget> {
    const options = ['--pipe-buf', '512', '--sysctl', `kern.ipc.maxpipekva=${maximumBytes}`];
    const mount = await TestMount.start(options);
    return new Budget(mount, await mount.driver());
  }

  used(): Promise<number> {
    return this.mount.sysctl('kern.ipc.pipekva');
  }

  counter(name: string): Promise<number> {
    return this.mount.sysctl(`kern.ipc.${name}`);
  }

  /** Makes a pipe and opens it for both directions without blocking: its path and descriptor. */
  async open(): Promise<{ path: string; fd: number }> {
    const path = await this.mount.fifo(`p${++this.#pipes}`);
    const fd = await this.driver.open(path, 'rwn');
    this.#open.push(fd);
    return { path, fd };
  }

  async openMany(count: number): Promise<{ path: string; fd: number }[]> {
    const opened = [];
    for (let index = 0; index < count; index++) opened.push(await this.open());
    return opened;
  }

  async sizeOf(path: string): Promise<number> {
    return Number((await this.mount.pipe(path))['size']);
  }

  /** Closes every pipe that `open` opened, for the next test. */
  async clear(): Promise<void> {
    for (const fd of this.#open.splice(0)) await this.driver.close(fd);
    expect(await this.used()).toBe(0);
  }
}

describeMount('pipe memory, 128 KiB', () => {
  let budget: Budget;
  let driver: Driver;
  beforeAll(async () => {
    budget = await Budget.start(131072);
    ({ driver } = budget);
  });
  afterAll(() => budget.mount.stop());

  test('P3, P4: pipes cost 16384 and 4096 bytes, above half of the limit 4096 and 4096', async () => {
    expect(await budget.counter('maxpipekva')).toBe(131072);
    expect(await budget.used()).toBe(0);
    const seen: number[] = [];
    for (let index = 0; index < 6; index++) {
      await budget.open();
      seen.push(await budget.used());
    }
    expect(seen).toEqual([20480, 40960, 61440, 81920, 90112, 98304]);
    const sizes = (await budget.mount.table('pipes')).map((row) => row['size']);
    expect(sizes).toEqual([16384, 16384, 16384, 16384, 4096, 4096]);
    await budget.clear();
  });

  test('P15: pipekva is the sum of all rings, whatever happens to them', async () => {
    const check = async (): Promise<void> => {
      const rows = await budget.mount.table('pipes');
      const rings = rows
        .filter((row) => row['state'] !== 'closed')
        .map((row) => Number(row['size']) + (String(row['path']).startsWith('pipes/') ? REVERSE_BYTES : 0));
      expect(await budget.used()).toBe(rings.reduce((sum, size) => sum + size, 0));
    };
    await check();
    const [first, second] = await budget.openMany(2);
    await check();
    await driver.writePattern(first!.fd, 30_000);
    await check();
    await budget.mount.output('mkdir pairs/sum');
    await check();
    const end = await driver.open('pairs/sum/0', 'rwn');
    await driver.writePattern(end, 5000);
    await check();
    await driver.close(second!.fd);
    await check();
    await driver.close(end);
    await check();
    await driver.close(await driver.open('pairs/sum/1', 'rw'));
    await budget.mount.output('rmdir pairs/sum');
    await check();
    await driver.close(first!.fd);
    expect(await budget.used()).toBe(0);
  });

  test('P21, P25: above half of the limit a ring does not grow, and the write goes on with it', async () => {
    const [first] = await budget.openMany(4);
    expect((await driver.writePattern(first!.fd, 20_000)).result).toBe(16384);
    expect(await budget.sizeOf(first!.path)).toBe(16384);
    expect(await budget.counter('piperesizefail')).toBe(0);
    await budget.clear();
  });

  test('P18, P21: at or below half, one write can take a ring from 16384 to 65536', async () => {
    const [first] = await budget.openMany(3);
    expect(await budget.used()).toBeLessThanOrEqual(65536);
    expect((await driver.writePattern(first!.fd, 40_000)).result).toBe(40_000);
    expect(await budget.sizeOf(first!.path)).toBe(65536);
    await budget.clear();
  });

  test('P23: above three quarters a write shrinks a ring that is nearly empty, even for a longer write', async () => {
    const [first] = await budget.openMany(7);
    expect(await budget.used()).toBe(106_496);
    expect((await driver.writePattern(first!.fd, 10_000)).result).toBe(4096);
    expect(await budget.sizeOf(first!.path)).toBe(4096);
    expect(await budget.used()).toBe(94_208);
    await budget.clear();
  });

  test('P24: above three quarters a read shrinks a ring, even one that ends with EAGAIN', async () => {
    const [first] = await budget.openMany(7);
    expect((await driver.read(first!.fd, 10)).result).toBe(EAGAIN);
    expect(await budget.used()).toBe(94_208);
    expect(await budget.sizeOf(first!.path)).toBe(4096);
    await budget.clear();
  });

  test('P27: only a read or write of the ring itself shrinks it, and only with 4096 bytes or fewer in it', async () => {
    const [first, second] = await budget.openMany(4);
    expect((await driver.writePattern(first!.fd, 4097)).result).toBe(4097);
    await budget.openMany(3);
    expect((await driver.read(second!.fd, 1)).result).toBe(EAGAIN);
    expect(await budget.sizeOf(second!.path)).toBe(4096);
    expect(await budget.sizeOf(first!.path)).toBe(16384);
    await budget.openMany(2);
    expect(await budget.used()).toBeGreaterThan(98_304);
    expect(await readPattern(driver, first!.fd, 1)).toEqual([1, 0]);
    expect(await budget.sizeOf(first!.path)).toBe(16384);
    expect(await readPattern(driver, first!.fd, 1, 1)).toEqual([1, 0]);
    expect(await budget.sizeOf(first!.path)).toBe(4096);
    expect(await readPattern(driver, first!.fd, 5000, 2)).toEqual([4095, 0]);
    await budget.clear();
  });

  test('P20: piperesizeallowed other than 1 stops growing and shrinking', async () => {
    for (const value of [0, 2, -1]) {
      await budget.mount.setSysctl('kern.ipc.piperesizeallowed', value);
      const { fd, path } = await budget.open();
      expect((await driver.writePattern(fd, 20_000)).result).toBe(16384);
      expect((await driver.writePattern(fd, 20_000)).result).toBe(EAGAIN);
      expect(await readPattern(driver, fd, 20_000)).toEqual([16384, 0]);
      await budget.openMany(6);
      expect((await driver.read(fd, 1)).result).toBe(EAGAIN);
      expect(await budget.sizeOf(path)).toBe(16384);
      await budget.clear();
    }
    await budget.mount.setSysctl('kern.ipc.piperesizeallowed', 1);
    const { fd } = await budget.open();
    expect((await driver.writePattern(fd, 20_000)).result).toBe(20_000);
    await budget.clear();
  });

  test('P45: a ring of 4096 bytes wakes its writer at every read', async () => {
    await budget.openMany(4);
    const { fd, path } = await budget.open();
    expect(await budget.sizeOf(path)).toBe(4096);
    expect((await driver.writePattern(fd, 5000)).result).toBe(4096);
    const writer = await budget.mount.driver();
    const blocked = await writer.open(path, 'w');
    const write = writer.begin({ call: 'writePattern', fd: blocked, count: 10 });
    await budget.mount.untilBlocked(path, 'pipewr');
    expect(await readPattern(driver, fd, 10)).toEqual([10, 0]);
    expect((await write.promise).result).toBe(10);
    await writer.close(blocked);
    await budget.clear();
  });
});

describeMount('pipe memory, 64 KiB', () => {
  let budget: Budget;
  beforeAll(async () => {
    budget = await Budget.start(65536);
  });
  afterAll(() => budget.mount.stop());

  test('P16, P25: old and new ring must both fit: else piperesizefail, and the old one stays', async () => {
    const { fd, path } = await budget.open();
    const { driver } = budget;
    expect((await driver.writePattern(fd, 40_000)).result).toBe(16384);
    expect(await budget.counter('piperesizefail')).toBe(1);
    expect(await budget.sizeOf(path)).toBe(16384);
    expect(await budget.used()).toBe(20480);
    expect(await readPattern(driver, fd, 20_000)).toEqual([16384, 0]);
    // What fits beside the old one is possible, in whole pages.
    expect((await driver.writePattern(fd, 20_000)).result).toBe(20_000);
    expect(await budget.sizeOf(path)).toBe(32768);
    expect(await budget.counter('piperesizefail')).toBe(1);
    expect(await budget.counter('pipeallocfail')).toBe(0);
    await budget.clear();
  });
});

describeMount('pipe memory, 24 KiB', () => {
  let budget: Budget;
  beforeAll(async () => {
    budget = await Budget.start(24_576);
  });
  afterAll(() => budget.mount.stop());

  test('P7, P121: when the reverse ring cannot be had, open is ENOMEM and nothing is kept', async () => {
    const { fd } = await budget.open();
    const { mount, driver } = budget;
    const second = await mount.fifo('second');
    expect((await driver.call({ call: 'open', path: second, flags: 2 })).result).toBe(ENOMEM);
    expect(await budget.used()).toBe(20480);
    expect(await budget.counter('pipeallocfail')).toBe(1);
    expect(await mount.pipe(second)).toMatchObject({ readers: 0, writers: 0, state: 'closed' });
    const { status } = await mount.sh('mkdir pairs/no-memory');
    expect(status).toBe(1);
    expect(await mount.output('ls pairs')).toBe('');
    await driver.write(fd, 'unharmed');
    expect((await driver.read(fd, 100)).text).toBe('unharmed');
    await budget.clear();
    const reader = await driver.open(second, 'rn');
    await driver.close(await driver.open(second, 'wn'));
    await driver.close(reader);
    expect(await budget.used()).toBe(0);
  });

  test('P6: failed creations say so once a second at most, and all are counted', async () => {
    const { mount } = budget;
    const holder = await budget.driver.open(await mount.fifo('holder'), 'rw');
    const before = await budget.counter('pipeallocfail');
    const linesBefore = budget.mount.server.stderr.split('\n').length;
    await mount.fifo('refused');
    const startMs = performance.now();
    const script = 'for ((i = 0; i < 100; i++)); do true <> pipes/refused; done 2>&1 | sort | uniq -c';
    expect(await mount.output(script)).toMatch(/^ *100 .*Cannot allocate memory\n$/);
    const elapsedMs = performance.now() - startMs;
    expect(await budget.counter('pipeallocfail')).toBe(before + 100);
    const lines = mount.server.stderr.split('\n').length - linesBefore;
    expect(lines).toBeLessThanOrEqual(1 + Math.ceil(elapsedMs / 1000));
    expect(mount.server.stderr).toContain('kern.ipc.maxpipekva is used up');
    await budget.driver.close(holder);
  });
});

describeMount('pipe memory, 8 KiB', () => {
  let budget: Budget;
  beforeAll(async () => {
    budget = await Budget.start(8192);
  });
  afterAll(() => budget.mount.stop());

  test('P5: a first ring that cannot have 16384 bytes gets 4096, and pipefragretry counts it', async () => {
    const { path } = await budget.open();
    expect(await budget.counter('pipefragretry')).toBe(1);
    expect(await budget.counter('pipeallocfail')).toBe(0);
    expect(await budget.used()).toBe(8192);
    expect(await budget.sizeOf(path)).toBe(4096);
    const full = await budget.mount.fifo('full');
    expect((await budget.driver.call({ call: 'open', path: full, flags: 2 })).result).toBe(ENOMEM);
    expect(await budget.counter('pipeallocfail')).toBe(1);
    expect(await budget.used()).toBe(8192);
    await budget.clear();
  });

  test('P121, P123: a refused open leaves room for the next', async () => {
    const { mount, driver } = budget;
    const path = await mount.fifo('next');
    expect((await driver.call({ call: 'open', path, flags: 0o4001 })).result).toBe(ENXIO);
    expect(await budget.used()).toBe(0);
    await driver.close(await driver.open(path, 'rw'));
    expect(await budget.used()).toBe(0);
  });
});
