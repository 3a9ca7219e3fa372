import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LINUX_POLLIN } from '../support/driver-protocol.ts';
import { ipcfs, isMounted, isRunning, Scratch } from '../support/cli.ts';
import { describeMount, mainProgram, TestMount } from '../support/mount.ts';
import { run, until } from '../support/process.ts';
import { offerRing, reasonNoRing } from '../support/ring-parameter.ts';

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const ROUNDS = 500;
const reason = reasonNoRing();

describe.skipIf(reason !== null)(
  `requests through an io_uring${reason === null ? '' : ` (${reason})`}`,
  () => {
    let restore: () => void = () => undefined;
    beforeAll(() => {
      restore = offerRing(true);
    });
    afterAll(() => {
      restore();
    });

    describeMount('on a mount that serves', () => {
      let mount: TestMount;
      beforeAll(async () => {
        mount = await TestMount.start(['--io-uring', 'on']);
      });
      afterAll(() => mount.stop());
      afterEach(async () => {
        await mount.endDrivers();
        await mount.output('rm -f pipes/*');
      });

      const fact = async (name: string): Promise<string | number> =>
        (await mount.table('transport')).find((row) => row['name'] === name)!['value']!;

      test('info/transport says so, and one entry serves whoever asks', async () => {
        expect(await fact('device')).toBe('io_uring');
        expect(Number(await fact('ring-entries')) - Number(await fact('ring-entries-free'))).toBe(1);
      });

      test('every byte comes through, in blocks of any size', async () => {
        for (const [size, count] of [
          ['1', 3000],
          ['4K', 10_000_000],
          ['100001', 20_000_000],
          ['1M', 40_000_000],
        ]) {
          const bytes = `yes 'bytes in blocks of ${size}' | nl | head -c ${count}`;
          const sums = await mount.output(
            `mkfifo pipes/a
           ${bytes} | dd of=pipes/a bs=${size} iflag=fullblock status=none &
           dd if=pipes/a bs=${size} status=none | cksum; wait; rm pipes/a; ${bytes} | cksum`,
            { timeoutMs: 30_000 },
          );
          const [got, expected] = sums.split('\n');
          expect(got).toBe(expected);
        }
      });

      test('a write that has returned is found by the next epoll_wait, and a close by the next call', async () => {
        await mount.fifo('a');
        const driver = await mount.driver();
        const reader = (await driver.call({ call: 'open', path: 'pipes/a', flags: O_NONBLOCK })).result;
        const writer = (await driver.call({ call: 'open', path: 'pipes/a', flags: O_RDWR })).result;
        const epfd = (await driver.call({ call: 'epollCreate' })).result;
        await driver.call({ call: 'epollAdd', epfd, fd: reader, events: LINUX_POLLIN });
        expect(await driver.call({ call: 'epollRace', epfd, reader, writer, rounds: ROUNDS })).toMatchObject({
          result: 0,
        });
        await driver.call({ call: 'close', fd: writer });
        expect(
          await driver.call({ call: 'closeRace', path: 'pipes/a', fd: reader, rounds: ROUNDS }),
        ).toMatchObject({ result: 0 });
      });

      test('kill -9 ends a reader that waits, and gives its entry back', async () => {
        await mount.fifo('a');
        const readers = [1, 2, 3].map(() => mount.start('exec 3<>pipes/a; exec cat <&3'));
        await mount.untilBlocked('pipes/a', 'piperd', 3);
        expect(Number(await fact('ring-entries')) - Number(await fact('ring-entries-free'))).toBe(4);
        for (const reader of readers) reader.kill('SIGKILL');
        for (const reader of readers) await reader.finished();
        await until(async () => (await mount.table('waits')).length === 0);
        expect(Number(await fact('ring-entries')) - Number(await fact('ring-entries-free'))).toBe(1);
      });

      test('a reader that is killed before the server has its request ends all the same', async () => {
        await mount.fifo('a');
        const holder = mount.start('exec 3<>pipes/a; echo ready; exec sleep 1000');
        await until(() => holder.stdout.includes('ready'));
        const path = `/proc/${holder.pid}/fd/3`;
        const reader = mount.start(`exec 4<'${path}'; echo open; read -r go; exec head -c 1 <&4`);
        await until(() => reader.stdout.includes('open'));
        process.kill(mount.server.pid, 'SIGSTOP');
        try {
          reader.child.stdin!.write('go\n');
          await until(async () =>
            (await run('cat', [`/proc/${reader.pid}/wchan`])).stdout.includes('request'),
          );
          reader.kill('SIGKILL');
        } finally {
          process.kill(mount.server.pid, 'SIGCONT');
        }
        expect((await reader.finished()).signal).toBe('SIGKILL');
      });

      test('large writes that sleep keep their bytes, and each arrives whole', async () => {
        const writers = [1, 2, 3, 4, 5, 6].map((n) => {
          const bytes = `yes 'writer ${n}' | head -c 1M`;
          return {
            n,
            bytes,
            running: mount.start(
              `mkfifo pipes/w${n}; ${bytes} | dd of=pipes/w${n} bs=1M iflag=fullblock status=none`,
            ),
          };
        });
        await until(async () => (await mount.output('ls pipes | grep -c w || true')).trim() === '6');
        for (const { n, bytes } of writers) {
          expect(await mount.sh(`cmp pipes/w${n} <(${bytes})`)).toMatchObject({ status: 0, stdout: '' });
        }
        for (const { running } of writers) expect((await running.finished()).status).toBe(0);
        expect(await fact('sleeping-write-bytes')).toBe(0);
      });
    });

    describeMount('at its ends', () => {
      const scratch = new Scratch();
      afterEach(() => scratch.clean());

      test('umount answers calls that wait, and the server ends', async () => {
        const directory = scratch.directory();
        const server = await scratch.mountInForeground(directory, ['--io-uring', 'on']);
        await run('mkfifo', [`${directory}/pipes/a`]);
        const reader = scratch.start('cat', [`${directory}/pipes/a`]);
        await until(
          async () => (await run('grep', ['-c', 'fifoor', `${directory}/info/waits`])).status === 0,
        );
        expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0 });
        expect((await reader.finished()).status).not.toBe(0);
        expect(await server.finished()).toMatchObject({ status: 0, stderr: '' });
        expect(isMounted(directory)).toBe(false);
      });

      test('a server that is killed leaves callers that fail, and nothing that hangs', async () => {
        const directory = scratch.directory();
        const pid = await scratch.mount(directory, ['--io-uring', 'on']);
        await run('mkfifo', [`${directory}/pipes/a`]);
        const reader = scratch.start('cat', [`${directory}/pipes/a`]);
        await until(
          async () => (await run('grep', ['-c', 'fifoor', `${directory}/info/waits`])).status === 0,
        );
        process.kill(pid, 'SIGKILL');
        expect((await reader.finished()).status).toBe(1);
        await until(() => !isRunning(pid));
        expect((await run('ls', [directory])).status).not.toBe(0);
      });
    });

    describeMount('where it cannot be had', () => {
      const scratch = new Scratch();
      afterEach(() => scratch.clean());
      const NO_LOCKED_MEMORY = ['setpriv', '--bounding-set=-ipc_lock', 'prlimit', '--memlock=0'];

      async function deviceOf(directory: string): Promise<string> {
        const { stdout } = await run('cat', [`${directory}/info/transport`]);
        return /^device +(\S+)$/m.exec(stdout)![1]!;
      }

      test('auto takes /dev/fuse without a word, on fails in one line that says what to do: no offer', async () => {
        const undo = offerRing(false);
        try {
          const directory = scratch.directory();
          await scratch.mount(directory, ['--io-uring', 'auto']);
          expect(await deviceOf(directory)).toBe('/dev/fuse');
          const { status, stderr } = await ipcfs(['mount', '--io-uring', 'on', scratch.directory()]);
          expect(status).toBe(1);
          expect(stderr).toMatch(/^ipcfs: --io-uring on: [^\n]*enable_uring'; or use auto\n$/);
        } finally {
          undo();
        }
      });

      test('the same without memory that may be locked', async () => {
        const mount = await TestMount.start(['--io-uring', 'auto'], { wrapper: NO_LOCKED_MEMORY });
        expect(await deviceOf(mount.directory)).toBe('/dev/fuse');
        await mount.stop();
        const directory = scratch.directory();
        const [command, ...rest] = [...NO_LOCKED_MEMORY, process.execPath];
        const { status, stderr } = await run(command, [
          ...rest,
          mainProgram,
          'mount',
          '--io-uring',
          'on',
          '--transport',
          'raw',
          directory,
        ]);
        expect(status).toBe(1);
        expect(stderr).toMatch(/^ipcfs: --io-uring on: [^\n]*ulimit -l[^\n]*; or use auto\n$/);
      });

      test('ipcfs doctor says what there is', async () => {
        expect((await ipcfs(['doctor'])).stdout).toMatch(/^ok +FUSE over io_uring +offered by the kernel/m);
        const undo = offerRing(false);
        try {
          expect((await ipcfs(['doctor'])).stdout).toMatch(/^no +FUSE over io_uring +off: 'echo 1 > /m);
        } finally {
          undo();
        }
      });
    });
  },
);
