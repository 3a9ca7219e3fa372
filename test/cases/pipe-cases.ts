import { expect } from 'vitest';
import { EAGAIN, ENOTTY, ESPIPE } from '../../src/kern/errno.ts';
import { FIONREAD, LINUX_POLLIN } from '../support/driver-protocol.ts';
import type { TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import type { Case } from './case.ts';

const EPOLL_ROUNDS = 200;
const READERS = 100;
/** How many calls can wait where there is a limit. */
const WAITING_LIMIT = 48;
const OTHER_OPERATIONS = `mkfifo pipes/b; echo through > pipes/b & cat pipes/b; wait; rm pipes/b; ls -lR . > /dev/null; truncate -s 4K shm/7; rm shm/7`;
/** What /proc/PID/syscall begins with inside write(2). */
const WRITE = process.arch === 'arm64' ? '64' : '1';

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
    needs: ['manyWaits'],
    run: (mount) =>
      withBlockedReaders(mount, READERS, async () => {
        expect(await mount.output(OTHER_OPERATIONS)).toBe('through\n');
      }),
    async without(mount) {
      const path = await mount.fifo('crowd');
      const readers = Array.from({ length: READERS }, () =>
        mount.start(`exec cat ${path}`, { timeoutMs: 60_000 }),
      );
      const refusedCount = READERS - WAITING_LIMIT;
      await until(() => readers.filter(({ isFinished }) => isFinished).length === refusedCount);
      for (const reader of readers.filter(({ isFinished }) => isFinished))
        expect((await reader.finished()).stderr).toContain('No buffer space available');
      await mount.untilBlocked(path, 'fifoor', WAITING_LIMIT);
      const script = `ls -lR . > /dev/null; cat info/shm > /dev/null; truncate -s 4K shm/7; rm shm/7; echo through`;
      expect(await mount.output(script)).toBe('through\n');
      await mount.output(`echo > ${path}`);
      for (const reader of readers) await reader.finished();
      await mount.output(`rm ${path}`);
    },
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
    name: 'a write through a descriptor ends a read that waits on the same one',
    needs: ['streams'],
    run: `exec 3<>pipes/a; { head -c1 <&3; echo; } & until grep -q piperd info/waits; do :; done; printf x >&3; wait; exec 3>&-; rm pipes/a; echo ok`,
    without: `exec 3<>pipes/a; { head -c1 <&3 > /dev/shm/ipcfs-case-$$; } & until grep -q piperd info/waits; do :; done; printf x >&3 & writer=$!
      until [ "$(cut -d' ' -f1 /proc/$writer/syscall)" = ${WRITE} ]; do :; done; printf y > pipes/a; wait; exec 3>&-; rm pipes/a
      test "$(cat /dev/shm/ipcfs-case-$$)" = y; rm /dev/shm/ipcfs-case-$$; echo ok`,
  },
  {
    name: 'lseek on a pipe is ESPIPE',
    needs: ['unseekable'],
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
    name: 'epoll_wait finds what a write that has returned brought',
    needs: ['poll'],
    async run(mount) {
      const driver = await mount.driver();
      const fd = await driver.open('pipes/a', 'rw', 0o100);
      const { result: epfd } = await driver.call({ call: 'epollCreate' });
      await driver.call({ call: 'epollAdd', epfd, fd, events: LINUX_POLLIN });
      const race = { call: 'epollRace', epfd, reader: fd, writer: fd, rounds: EPOLL_ROUNDS } as const;
      expect((await driver.call(race)).result).toBe(0);
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
      expect((await driver.call({ call: 'stat', path: 'pipes/a' })).stat!.size).toBe(3);
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
  },
  {
    name: 'fstat of an open pipe says nothing of what is queued, stat of its path does',
    needs: ['openSizes'],
    run: `exec 3<>pipes/a; echo abc >&3; test "$(stat -L -c %s - <&3)" = 0; test "$(stat -c %s pipes/a)" = 4; exec 3>&-; rm pipes/a; echo ok`,
    without: `exec 3<>pipes/a; echo abc >&3; test "$(stat -L -c %s - <&3)" = 4; exec 3>&-; rm pipes/a; echo ok`,
  },
  {
    name: 'an extended attribute sets an option of a pipe, and shows it',
    needs: ['extendedAttributes'],
    run: `mkfifo pipes/a; setfattr -n user.ipcfs.hold pipes/a; test "$(getfattr --only-values -n user.ipcfs.hold pipes/a)" = on
      echo x > pipes/a; read -r line < pipes/a; test "$line" = x
      setfattr -x user.ipcfs.hold pipes/a; test -z "$(getfattr -d pipes/a)"; rm pipes/a; echo ok`,
    without: `mkfifo pipes/a; ! setfattr -n user.ipcfs.hold pipes/a 2> /dev/null; rm pipes/a; echo ok`,
  },
];
