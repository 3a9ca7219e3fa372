import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { EAGAIN, ENOTTY, ESPIPE } from '../../src/kern/errno.ts';
import { FIONREAD, LINUX_POLLIN, O_NONBLOCK } from '../support/driver-protocol.ts';
import type { TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import type { Case } from './case.ts';

const READERS = 100;
/** What /proc/PID/syscall begins with inside unlinkat(2). */
const UNLINKAT = process.arch === 'arm64' ? '35 ' : '263 ';

/** Blocked readers of one pipe, ended by a writer that comes and goes. */
async function withBlockedReaders(mount: TestMount, count: number, body: () => Promise<void>): Promise<void> {
  const path = await mount.fifo('crowd');
  const readers = Array.from({ length: count }, () => mount.start(`exec cat ${path}`, { timeoutMs: 60_000 }));
  await mount.untilBlocked(path, 'fifoor', count);
  await body();
  await mount.output(`echo > ${path}`);
  for (const reader of readers) expect(await reader.finished()).toMatchObject({ status: 0 });
  await mount.output(`rm ${path}`);
}

export const pipeCases: readonly Case[] = [
  {
    name: 'echo into a pipe comes out of cat',
    run: `mkfifo pipes/a; cat pipes/a & echo ok > pipes/a; wait; rm pipes/a`,
  },
  {
    name: 'seq through a pipe arrives whole and in order',
    run: `mkfifo pipes/a; seq 200000 > pipes/a & cat pipes/a | cmp - <(seq 200000); wait; rm pipes/a; echo ok`,
  },
  {
    name: 'tar through a pipe',
    run: `mkfifo pipes/a; tar cf pipes/a -C /usr/share/doc bash & cat pipes/a | tar xf - -O | cmp - <(tar cf - -C /usr/share/doc bash | tar xf - -O)
      wait; rm pipes/a; echo ok`,
  },
  {
    name: 'tar lists what comes through a pipe, and dd skips of it',
    run: `mkfifo pipes/a; tar cf pipes/a -C /usr/share/doc bash & tar tf pipes/a | cmp - <(tar cf - -C /usr/share/doc bash | tar tf -); wait
      seq 100000 > pipes/a & dd if=pipes/a bs=1000 skip=300 status=none iflag=fullblock | cmp - <(seq 100000 | tail -c +300001); wait; rm pipes/a; echo ok`,
  },
  {
    name: 'dd with blocks of 1 MiB through a pipe',
    run: `mkfifo pipes/a; dd if=/dev/zero of=pipes/a bs=1M count=8 status=none & test "$(cat pipes/a | wc -c)" = 8388608; wait; rm pipes/a; echo ok`,
  },
  {
    name: 'mkfifo makes a pipe that the server serves',
    needs: ['mkfifo'],
    run: `mkfifo -m 640 pipes/a; test "$(stat -c '%a %F' pipes/a)" = '640 regular empty file'; rm pipes/a; echo ok`,
  },
  {
    name: 'touch makes a pipe and ends at once',
    run: `touch pipes/a; test -e pipes/a; rm pipes/a; echo ok`,
  },
  {
    name: '> makes a pipe, and nothing that is written is lost',
    run: `echo ok > pipes/a & until [ -e pipes/a ]; do :; done; cat pipes/a | cat; wait; rm pipes/a`,
  },
  {
    name: 'the open that creates a pipe does not wait',
    needs: ['createInOneStep'],
    run: `: > pipes/a; rm pipes/a; echo ok`,
    without: `: > pipes/a & until grep -q fifoow info/waits; do :; done; : < pipes/a; wait; rm pipes/a; echo ok`,
  },
  {
    name: 'several readers of one pipe are blocked at once, and all are ended by the end of the writer',
    run: (mount) => withBlockedReaders(mount, 5, () => Promise.resolve()),
  },
  {
    name: `${READERS} blocked readers do not stop other operations`,
    run: (mount) =>
      withBlockedReaders(mount, READERS, async () => {
        const script = `mkfifo pipes/b; echo through > pipes/b & cat pipes/b; wait; rm pipes/b; ls -lR . > /dev/null; truncate -s 4K shm/7; rm shm/7`;
        expect(await mount.output(script)).toBe('through\n');
      }),
  },
  {
    name: 'a pair carries bytes both ways',
    run: `mkdir pairs/p; exec 4<>pairs/p/0 5<>pairs/p/1; echo ping >&4; read -r -n4 word <&5; test $word = ping
      echo pong >&5; read -r -n4 word <&4; test $word = pong; exec 4>&- 5>&-; rmdir pairs/p; echo ok`,
  },
  {
    name: 'a pipe that is removed while it is open goes on for those who have it',
    run: `exec 3<>pipes/a; echo one >&3; rm pipes/a; test -z "$(ls -A pipes)"; echo two >&3
      read -r word <&3; test $word = one; read -r word <&3; test $word = two; exec 3>&-; test -z "$(ls -A pipes)"; echo ok`,
  },
  {
    name: 'a pipe that is replaced by mv while it is open goes on for those who have it',
    run: `exec 3<>pipes/a; mkfifo pipes/b; mv pipes/b pipes/a; echo x >&3; test "$(stat -c %s pipes/a)" = 0
      read -r word <&3; test $word = x; exec 3>&-; rm pipes/a; echo ok`,
  },
  {
    name: 'a writer without a reader gets EPIPE',
    run: `mkfifo pipes/a; exec 3<>pipes/a 4>pipes/a; exec 3>&-; (trap '' PIPE; echo x >&4) 2>&1 | grep -q 'Broken pipe'; exec 4>&-; rm pipes/a; echo ok`,
  },
  {
    name: 'a writer without a reader gets SIGPIPE',
    needs: ['sigpipe'],
    run: `mkfifo pipes/a; (set +e; yes > pipes/a; echo $? > /dev/shm/ipcfs-case-$$) & head -c 1 pipes/a > /dev/null; wait
      status=$(cat /dev/shm/ipcfs-case-$$); rm pipes/a /dev/shm/ipcfs-case-$$; test $status = 141; echo ok`,
    without: `mkfifo pipes/a; (yes > pipes/a) 2>&1 | grep -q 'Broken pipe' & head -c 1 pipes/a > /dev/null; wait $!; rm pipes/a; echo ok`,
  },
  {
    name: 'O_NONBLOCK given to open counts',
    async run(mount) {
      const driver = await mount.driver();
      const path = await mount.fifo('a');
      const reader = await driver.open(path, 'rn');
      expect((await driver.read(reader, 1)).result).toBe(-EAGAIN);
      await mount.endDrivers();
      await mount.output(`rm ${path}`);
    },
  },
  {
    name: 'O_NONBLOCK set by fcntl counts',
    needs: ['statusFlags'],
    async run(mount) {
      const driver = await mount.driver();
      const fd = await driver.open('pipes/a', 'rw', 0o100);
      await driver.setNonBlocking(fd);
      expect((await driver.read(fd, 1)).result).toBe(-EAGAIN);
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
    async without(mount) {
      const driver = await mount.driver();
      const other = await mount.driver();
      const fd = await driver.open('pipes/a', 'rw', 0o100);
      await driver.setNonBlocking(fd);
      const reading = driver.begin({ call: 'read', fd, count: 1 });
      await mount.untilBlocked('pipes/a', 'piperd');
      await other.write(await other.open('pipes/a', 'w'), 'x');
      expect((await reading.promise).text).toBe('x');
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
  },
  {
    name: 'lseek on a pipe is ESPIPE',
    needs: ['streams'],
    async run(mount) {
      const driver = await mount.driver();
      const fd = await driver.open('pipes/a', 'rw', 0o100);
      expect((await driver.call({ call: 'lseek', fd, offset: 0, whence: 1 })).result).toBe(-ESPIPE);
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
    async without(mount) {
      const driver = await mount.driver();
      const fd = await driver.open('pipes/a', 'rw', 0o100);
      await driver.write(fd, 'abc');
      expect((await driver.call({ call: 'lseek', fd, offset: 2, whence: 0 })).result).toBe(2);
      expect((await driver.read(fd, 3)).text).toBe('abc');
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
  },
  {
    name: 'poll on an empty pipe says that it is not readable',
    needs: ['poll'],
    async run(mount) {
      const driver = await mount.driver();
      const fd = await driver.open('pipes/a', 'rw', 0o100);
      expect(await driver.poll(fd, LINUX_POLLIN)).toBe(0);
      await driver.write(fd, 'x');
      expect(await driver.poll(fd, LINUX_POLLIN)).toBe(LINUX_POLLIN);
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
    async without(mount) {
      const driver = await mount.driver();
      const fd = await driver.open('pipes/a', 'rw', 0o100);
      expect(await driver.poll(fd, LINUX_POLLIN)).toBe(LINUX_POLLIN);
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
  },
  {
    name: 'a poll that waits is ended by what comes',
    needs: ['poll'],
    async run(mount) {
      const driver = await mount.driver();
      const other = await mount.driver();
      const fd = await driver.open('pipes/a', 'rw', 0o100);
      // Without an end: the kernel looks once more when a time-out has passed.
      const polling = driver.poll(fd, LINUX_POLLIN, -1);
      await driver.untilPolling();
      await other.write(await other.open('pipes/a', 'rw'), 'x');
      expect(await polling).toBe(LINUX_POLLIN);
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
  },
  {
    name: 'ioctl FIONREAD gives the bytes that can be read',
    needs: ['ioctl'],
    async run(mount) {
      const driver = await mount.driver();
      const fd = await driver.open('pipes/a', 'rw', 0o100);
      await driver.write(fd, 'abc');
      expect((await driver.ioctl(fd, FIONREAD)).value).toBe(3);
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
    async without(mount) {
      const driver = await mount.driver();
      const fd = await driver.open('pipes/a', 'rw', 0o100);
      await driver.write(fd, 'abc');
      expect((await driver.ioctl(fd, FIONREAD)).result).toBe(-ENOTTY);
      expect((await driver.call({ call: 'fstat', fd })).stat!.size).toBe(3);
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
  },
  {
    name: 'kill -9 ends a blocked reader',
    needs: ['interrupt'],
    async run(mount) {
      const path = await mount.fifo('a');
      const reader = mount.start(`exec cat ${path}`);
      await mount.untilBlocked(path, 'fifoor');
      reader.kill('SIGKILL');
      expect(await reader.finished()).toMatchObject({ signal: 'SIGKILL' });
      await mount.output(`rm ${path}`);
    },
    async without(mount) {
      const path = await mount.fifo('a');
      const reader = mount.start(`exec cat ${path}`);
      await mount.untilBlocked(path, 'fifoor');
      reader.kill('SIGKILL');
      expect(await mount.blockedCount(path, 'fifoor')).toBe(1);
      await mount.output(`: > ${path}`);
      expect(await reader.finished()).toMatchObject({ signal: 'SIGKILL' });
      await mount.output(`rm ${path}`);
    },
  },
  {
    name: 'a non-blocking write beside a blocked one is answered at once',
    needs: ['independentOpens'],
    async run(mount) {
      const path = await mount.fifo('a');
      const reader = await mount.driver();
      const writer = await mount.driver();
      const other = await mount.driver();
      await reader.open(path, 'rn');
      const fd = await writer.open(path, 'w');
      writer.begin({ call: 'writePattern', fd, count: 100_000 });
      await until(() => mount.blockedCount(path, 'pipdwt').then((count) => count === 1));
      expect((await other.write(await other.open(path, 'wn'), 'x')).result).toBe(-EAGAIN);
      await mount.endDrivers();
      await mount.output(`rm ${path}`);
    },
    async without(mount) {
      const path = await mount.fifo('a');
      const reader = await mount.driver();
      const writer = await mount.driver();
      const other = await mount.driver();
      const from = await reader.open(path, 'r', O_NONBLOCK);
      const fd = await writer.open(path, 'w');
      const writing = writer.begin({ call: 'writePattern', fd, count: 100_000 });
      await until(() => mount.blockedCount(path, 'pipdwt').then((count) => count === 1));
      const behind = other.begin({ call: 'write', fd: await other.open(path, 'wn'), text: 'x' });
      // Whatever is asked meanwhile is answered; the second write is not, until the first is read.
      expect(await mount.blockedCount(path, 'pipdwt')).toBe(1);
      expect(behind.result).toBe(null);
      for (let left = 100_000; left > 0;) {
        const { result } = await reader.read(from, left);
        if (result > 0) left -= result;
      }
      expect((await writing.promise).result).toBe(100_000);
      expect((await behind.promise).result).toBe(1);
      await mount.endDrivers();
      await mount.output(`rm ${path}`);
    },
  },
  {
    name: 'rm removes the name of a pipe that a call waits on, at once',
    needs: ['removeWhileBlocked'],
    async run(mount) {
      const path = await mount.fifo('a');
      const writer = await mount.driver();
      const fd = await writer.open(path, 'rw');
      const reading = mount.start(`exec cat ${path}`);
      await mount.untilBlocked(path, 'piperd');
      await mount.output(`rm ${path}`);
      await writer.write(fd, 'x');
      await writer.close(fd);
      expect((await reading.finished()).stdout).toBe('x');
      await mount.endDrivers();
    },
    async without(_mount, startOwn) {
      const own = await startOwn();
      const path = await own.fifo('a');
      const reading = own.start(`exec cat ${path}`);
      await own.untilBlocked(path, 'fifoor');
      const removing = own.start(`exec rm ${path}`);
      await until(() => readFileSync(`/proc/${removing.pid}/syscall`, 'latin1').startsWith(UNLINKAT));
      // Everything else goes on; the end of the mount ends both.
      expect(await own.output('cat info/pipes')).toContain('pipes/a');
      expect(removing.isFinished).toBe(false);
      await own.stop();
      expect(await reading.finished()).toMatchObject({ stdout: '' });
      await removing.finished();
    },
  },
];
