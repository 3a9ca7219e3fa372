import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { EAGAIN } from '../../src/kern/errno.ts';
import { ipcfs } from '../support/cli.ts';
import { O_NONBLOCK } from '../support/driver-protocol.ts';
import type { TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import type { Case } from './case.ts';

/** What /proc/PID/syscall begins with inside unlinkat(2). */
const UNLINKAT = process.arch === 'arm64' ? '35 ' : '263 ';

/** A mount of its own on which rm waits for `script`, a call on pipes/a that waits in `wait`. The end of the mount ends both. */
async function removalWaits(startOwn: () => Promise<TestMount>, script: string, wait: string): Promise<void> {
  const own = await startOwn();
  const path = await own.fifo('a');
  const blocked = own.start(script);
  await own.untilBlocked(path, wait);
  const removing = own.start(`exec rm ${path}`);
  await until(() => readFileSync(`/proc/${removing.pid}/syscall`, 'latin1').startsWith(UNLINKAT));
  // Everything else goes on.
  expect(await own.output('cat info/pipes')).toContain(path);
  expect(removing.isFinished).toBe(false);
  await own.stop();
  expect(await blocked.finished()).toMatchObject({ stdout: '' });
  await removing.finished();
}

/** What others can do about a call that waits, or beside it. */
export const blockedCases: readonly Case[] = [
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
    name: 'ipcfs waits finds a call that only its own process could end',
    needs: ['callerProcess'],
    async run(mount) {
      await mount.output('mkfifo pipes/a');
      const reader = mount.start('exec 3<>pipes/a; exec head -c1 <&3');
      await mount.untilBlocked('pipes/a', 'piperd');
      const { status, stdout } = await ipcfs(['waits', '--check', mount.directory]);
      expect(status).toBe(3);
      expect(stdout).toContain(`head ${reader.pid} in read of pipes/a waits for itself`);
      await mount.output('printf x > pipes/a');
      expect(await reader.finished()).toMatchObject({ stdout: 'x' });
      await mount.output('rm pipes/a');
    },
    async without(mount) {
      await mount.output('mkfifo pipes/a');
      const reader = mount.start('exec 3<>pipes/a; exec head -c1 <&3');
      await mount.untilBlocked('pipes/a', 'piperd');
      expect(await ipcfs(['waits', '--check', mount.directory])).toMatchObject({ status: 0, stdout: '' });
      await mount.output('printf x > pipes/a');
      expect(await reader.finished()).toMatchObject({ stdout: 'x' });
      await mount.output('rm pipes/a');
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
    without: (_mount, startOwn) => removalWaits(startOwn, 'exec 3<>pipes/a; exec cat <&3', 'piperd'),
  },
  {
    name: 'rm removes the name of a pipe that an open waits on, at once',
    needs: ['removeWhileOpening'],
    async run(mount) {
      const path = await mount.fifo('a');
      const opening = mount.start(`exec cat ${path}`);
      await mount.untilBlocked(path, 'fifoor');
      await mount.output(`rm ${path}`);
      await mount.untilBlocked('(removed)', 'fifoor');
      opening.kill('SIGKILL');
      expect(await opening.finished()).toMatchObject({ signal: 'SIGKILL' });
    },
    without: (_mount, startOwn) => removalWaits(startOwn, 'exec cat pipes/a', 'fifoor'),
  },
];
