import { afterAll, beforeAll, expect, test } from 'vitest';
import { HostileMount } from '../../support/hostile.ts';
import { describeMount } from '../../support/mount.ts';
import { type Running, until } from '../../support/process.ts';
import { alice, asUser, usedBy } from '../../support/users.ts';

/** What another user's call may take beyond the machine's own delay; typical calls keep the bound of `promisedBounds`. */
const bounds = { p99Ms: 50, maxMs: 250 };
const FILES = 15_000;
const READERS = 900;
const KQUEUES = 1000;
const WRITERS = 8;
const TIMEOUT_MS = 120_000;

describeMount('[SEC-15] what one user does by the thousand keeps another waiting for milliseconds', () => {
  let hostile: HostileMount;
  beforeAll(async () => {
    hostile = await HostileMount.start();
    await hostile.mount.output('mkfifo -m 666 pipes/many pipes/crowd');
  });
  afterAll(() => hostile.stop());

  /** Starts a Node program of alice's that may open many files, and waits for its "ready". */
  async function ready(program: string, threads = 4): Promise<Running> {
    const imports = "import { constants, openSync, read, write, writeSync } from 'node:fs';";
    const script = `exec node --input-type=module -e "${imports} ${program}
      console.log('ready'); setInterval(() => undefined, 60_000);"`;
    // With an ordinary priority: with the last one a loaded machine would not let it begin.
    const running = hostile.mount.start(
      `ulimit -n ${FILES + 100}; export UV_THREADPOOL_SIZE=${threads}; ${asUser(alice, script)}`,
      { timeoutMs: TIMEOUT_MS },
    );
    await until(
      () => running.stdout.includes('ready\n'),
      () => running.stderr,
      60_000,
    );
    return running;
  }

  async function kill(running: Running): Promise<void> {
    running.kill('SIGKILL');
    await running.finished();
  }

  test(
    'the exit of a process with 15,000 open files',
    async () => {
      const attack = async (): Promise<void> => {
        const running = await ready(
          `for (let count = 0; count < ${FILES}; count++) openSync('pipes/many', constants.O_RDWR);`,
        );
        expect(await usedBy(hostile.mount, alice, 'open_files')).toBe(FILES);
        await kill(running);
        await until(async () => (await usedBy(hostile.mount, alice, 'open_files')) === 0, undefined, 30_000);
      };
      expect(await hostile.brokenBy(attack, bounds)).toEqual([]);
    },
    3 * TIMEOUT_MS,
  );

  test(
    'many queues, and writes of 1 MiB of lines that say nothing',
    async () => {
      const running = await ready(`
        const descriptors = Array.from({ length: ${KQUEUES} }, () => openSync('kqueue', constants.O_RDWR));
        for (const descriptor of descriptors) writeSync(descriptor, 'add user 1\\nadd user 2\\nadd vnode pipes write\\n');
        const lines = Buffer.from('#\\n'.repeat(512 * 1024));
        const again = (descriptor) => write(descriptor, lines, 0, lines.length, null, () => again(descriptor));
        descriptors.slice(0, ${WRITERS}).forEach(again);
      `);
      const attack = () => new Promise((resolve) => setTimeout(resolve, 3000));
      expect(await hostile.brokenBy(attack, bounds)).toEqual([]);
      expect(running.isFinished).toBe(false);
      await kill(running);
    },
    TIMEOUT_MS,
  );

  test(
    'readers by the hundred that each write wakes, and that all end at once',
    async () => {
      const attack = async (): Promise<void> => {
        const running = await ready(
          `const descriptor = openSync('pipes/crowd', constants.O_RDWR);
          for (let count = 0; count < ${READERS}; count++) read(descriptor, Buffer.alloc(1), 0, 1, null, () => undefined);`,
          READERS,
        );
        await hostile.mount.untilBlocked('pipes/crowd', 'piperd', READERS);
        for (let count = 0; count < 20; count++) await hostile.mount.output('printf x > pipes/crowd');
        await kill(running);
        await until(async () => (await usedBy(hostile.mount, alice, 'open_files')) === 0, undefined, 30_000);
      };
      expect(await hostile.brokenBy(attack, bounds)).toEqual([]);
    },
    3 * TIMEOUT_MS,
  );

  test('info/metrics tells the longest step of the serving thread', async () => {
    const text = await hostile.mount.output('cat info/metrics');
    const seconds = Number(/^ipcfs_longest_step_seconds (\S+)$/m.exec(text)?.[1]);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(60);
  });
});
