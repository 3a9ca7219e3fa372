import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import {
  FIOASYNC,
  FIOGETOWN,
  FIONREAD,
  FIOSETOWN,
  TIOCGPGRP,
  TIOCSPGRP,
} from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { openEnds, openEndsNonBlocking, statOf } from '../support/pipe-ends.ts';
import { type Running, until } from '../support/process.ts';

const ESRCH = -3;
const EAGAIN = -11;
const EPERM = -1;
const EINVAL = -22;
const ENOTTY = -25;
const ESPIPE = -29;

/** What else the BSDs and Linux know: bytes in and room of a send queue, attributes of a terminal. */
const FIONWRITE = 0x80046677;
const FIONSPACE = 0x80046676;
const TCGETS = 0x5401;
const FIONBIO_BSD = 0x4004667e;
const FIONBIO_LINUX = 0x5421;

const SEEK_SET = 0;
const SEEK_CUR = 1;
const NOBODY = 65534;

describeMount('ioctl and other calls on pipes', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    [a, b] = await Promise.all([mount.driver(), mount.driver()]);
  });
  afterAll(() => mount.stop());

  /** A shell that prints a line for each SIGIO, and for the SIGUSR1 that proves that no SIGIO came before it. */
  async function listener(): Promise<Running> {
    const shell = mount.start(
      "trap 'echo io' IO; trap 'echo mark' USR1; echo ready; while :; do read -r; done",
    );
    await until(() => shell.stdout === 'ready\n');
    return shell;
  }

  async function mark(shell: Running): Promise<void> {
    const seen = shell.stdout.length;
    process.kill(shell.pid, 'SIGUSR1');
    await until(() => shell.stdout.slice(seen).includes('mark\n'));
  }

  test('P92, P104, P106: an owner gets SIGIO for each write while FIOASYNC is set', async () => {
    const path = await mount.fifo('sigio');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    const shell = await listener();
    // Neither alone is enough.
    expect((await a.ioctl(reader, FIOSETOWN, shell.pid)).result).toBe(0);
    await b.write(writer, '1');
    await mark(shell);
    expect(shell.stdout).toBe('ready\nmark\n');
    expect((await a.ioctl(reader, FIOASYNC, 1)).result).toBe(0);
    await b.write(writer, '2');
    await until(() => shell.stdout === 'ready\nmark\nio\n');
    await b.write(writer, '3');
    await until(() => shell.stdout === 'ready\nmark\nio\nio\n');
    expect((await a.ioctl(reader, FIOASYNC, 0)).result).toBe(0);
    await b.write(writer, '4');
    await mark(shell);
    expect(shell.stdout).toBe('ready\nmark\nio\nio\nmark\n');
  });

  test('P92: SIGIO tells of room and of the other side that leaves, too', async () => {
    const path = await mount.fifo('sigio-room');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    const shell = await listener();
    expect((await b.writePattern(writer, 65536)).result).toBe(65536);
    await b.ioctl(writer, FIOASYNC, 1);
    await b.ioctl(writer, FIOSETOWN, shell.pid);
    await a.read(reader, 10_000);
    await until(() => shell.stdout === 'ready\nio\n');
    await a.close(reader);
    await until(() => shell.stdout === 'ready\nio\nio\n');
  });

  test('P92, P106: a process group can be the owner', async () => {
    const path = await mount.fifo('group');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    const shell = await listener();
    await a.ioctl(reader, FIOASYNC, 1);
    expect((await a.ioctl(reader, TIOCSPGRP, shell.pid)).result).toBe(0);
    expect(await a.ioctl(reader, FIOGETOWN)).toMatchObject({ result: 0, value: -shell.pid });
    await b.write(writer, 'x');
    await until(() => shell.stdout === 'ready\nio\n');
  });

  test('P106: FIOGETOWN and TIOCGPGRP give the owner back, 0 when there is none', async () => {
    const fd = await a.open(await mount.fifo('owner'), 'rw');
    expect(await a.ioctl(fd, FIOGETOWN, 7)).toMatchObject({ result: 0, value: 0 });
    expect((await a.ioctl(fd, FIOSETOWN, b.pid)).result).toBe(0);
    expect(await a.ioctl(fd, FIOGETOWN)).toMatchObject({ result: 0, value: b.pid });
    expect(await a.ioctl(fd, TIOCGPGRP)).toMatchObject({ result: 0, value: -b.pid });
    expect((await a.ioctl(fd, FIOSETOWN, 0)).result).toBe(0);
    expect(await a.ioctl(fd, FIOGETOWN, 7)).toMatchObject({ result: 0, value: 0 });
  });

  test('P106: an owner must exist, and the caller must be able to signal it', async () => {
    const path = await mount.fifo('foreign');
    await mount.output(`chmod 666 ${path}`);
    const fd = await a.open(path, 'rw');
    expect((await a.ioctl(fd, FIOSETOWN, 2 ** 22)).result).toBe(ESRCH);
    const nobody = await mount.driver({ uid: NOBODY, gid: NOBODY });
    const theirs = await nobody.open(path, 'rw');
    expect((await nobody.ioctl(theirs, FIOSETOWN, a.pid)).result).toBe(EPERM);
    expect((await nobody.ioctl(theirs, FIOSETOWN, nobody.pid)).result).toBe(0);
  });

  test('P103: FIONBIO of the host makes a descriptor non-blocking, the BSD number succeeds and does nothing', async () => {
    const fd = await a.open(await mount.fifo('fionbio'), 'rw');
    expect((await a.ioctl(fd, FIONBIO_LINUX, 1)).result).toBe(0);
    expect((await a.read(fd, 1)).result).toBe(EAGAIN);
    expect((await a.ioctl(fd, FIONBIO_BSD, 0)).result).toBe(0);
    expect((await a.read(fd, 1)).result).toBe(EAGAIN);
  });

  test('P105: FIONREAD counts the stored bytes for a reader, and none for a writer', async () => {
    const { reader, writer } = await openEnds(a, b, await mount.fifo('fionread'));
    expect(await a.ioctl(reader, FIONREAD, 9)).toMatchObject({ result: 0, value: 0 });
    await b.write(writer, '12345');
    expect(await a.ioctl(reader, FIONREAD)).toMatchObject({ result: 0, value: 5 });
    expect(await b.ioctl(writer, FIONREAD, 9)).toMatchObject({ result: 0, value: 0 });
  });

  test('P107: any other ioctl is ENOTTY', async () => {
    const fd = await a.open(await mount.fifo('enotty'), 'rw');
    for (const request of [FIONWRITE, FIONSPACE, TCGETS, 0x4004_6601]) {
      expect((await a.ioctl(fd, request)).result).toBe(ENOTTY);
    }
  });

  test('P109: chmod, chown and truncate act on the node', async () => {
    const path = await mount.fifo('attributes');
    const fd = await a.open(path, 'rw');
    await a.write(fd, 'kept');
    await mount.output(`chmod 600 ${path}; chown ${NOBODY}:${NOBODY} ${path}; truncate -s 0 ${path}`);
    expect(await mount.output(`stat -c '%a %u %g %s' ${path}`)).toBe(`600 ${NOBODY} ${NOBODY} 4\n`);
    expect((await a.call({ call: 'fchmod', fd, mode: 0o640 })).result).toBe(0);
    expect((await statOf(a, fd)).mode & 0o7777).toBe(0o640);
    expect((await a.call({ call: 'ftruncate', fd, size: 0 })).result).toBe(0);
    expect((await a.read(fd, 10)).text).toBe('kept');
  });

  test('P111: a pipe cannot be positioned', async () => {
    const fd = await a.open(await mount.fifo('espipe'), 'rw');
    await a.write(fd, 'x');
    for (const whence of [SEEK_SET, SEEK_CUR]) {
      expect((await a.call({ call: 'lseek', fd, offset: 0, whence })).result).toBe(ESPIPE);
    }
    expect((await a.call({ call: 'pread', fd, count: 1, offset: 0 })).result).toBe(ESPIPE);
    expect((await a.call({ call: 'pwrite', fd, text: 'y', offset: 0 })).result).toBe(ESPIPE);
    expect((await a.read(fd, 10)).text).toBe('x');
  });

  test('P111: a descriptor can be handed on', async () => {
    await mount.fifo('inherited');
    const script = 'exec 5<> pipes/inherited; (echo from a child >&5); read -r line <&5; echo "$line"';
    expect(await mount.output(script)).toBe('from a child\n');
  });

  test('P112: sendfile from a pipe is EINVAL and takes nothing', async () => {
    const { reader, writer } = await openEndsNonBlocking(a, b, await mount.fifo('sendfile'));
    await b.write(writer, 'stays');
    const { result: to } = await a.call({ call: 'open', path: '/dev/null', flags: 1 });
    expect((await a.call({ call: 'sendfile', to, from: reader, count: 3 })).result).toBe(EINVAL);
    expect((await a.read(reader, 10)).text).toBe('stays');
  });

  test('P137: byte-range locks are EINVAL', async () => {
    const fd = await a.open(await mount.fifo('locks'), 'rw');
    expect((await a.call({ call: 'setlk', fd })).result).toBe(EINVAL);
  });

  test('P28: pipe_mindirect takes values above PIPE_BUF only', async () => {
    const setting = 'kern.ipc.pipe_mindirect';
    await expect(mount.setSysctl(setting, 4096)).rejects.toThrow('Invalid argument');
    await expect(mount.setSysctl(setting, -1)).rejects.toThrow('Invalid argument');
    expect(await mount.sysctl(setting)).toBe(8192);
    await mount.setSysctl(setting, 4097);
    expect(await mount.sysctl(setting)).toBe(4097);
    await mount.setSysctl(setting, 2 ** 30);
    expect(await mount.sysctl(setting)).toBe(2 ** 30);
    await mount.setSysctl(setting, 8192);
  });

  test('P29: counters and limits are read-only, piperesizeallowed takes any int', async () => {
    for (const name of ['maxpipekva', 'pipekva', 'pipefragretry', 'pipeallocfail', 'piperesizefail']) {
      const setting = `kern.ipc.${name}`;
      const before = await mount.sysctl(setting);
      await expect(mount.setSysctl(setting, 1)).rejects.toThrow('not permitted');
      expect(await mount.sysctl(setting)).toBe(before);
    }
    for (const value of [7, -2147483648, 1]) {
      await mount.setSysctl('kern.ipc.piperesizeallowed', value);
      expect(await mount.sysctl('kern.ipc.piperesizeallowed')).toBe(value);
    }
    const script = 'echo 0 > sysctl/kern/ipc/piperesizeallowed';
    const { status, stderr } = await mount.sh(script, { uid: NOBODY, gid: NOBODY });
    expect(status).toBe(1);
    expect(stderr).toMatch(/denied|not permitted/);
    expect(await mount.sysctl('kern.ipc.piperesizeallowed')).toBe(1);
  });
});
