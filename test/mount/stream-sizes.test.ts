import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { FIONREAD, LINUX_FIONREAD } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';

const nobody = { uid: 65534, gid: 65534 };

describeMount('programs that ask how much a pipe holds', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterEach(async () => {
    await mount.endDrivers();
    await mount.output('rm -rf pipes/*');
  });
  afterAll(() => mount.stop());

  test('P108: fstat of an open pipe says 0, stat of its path what is queued; a tunable restores BSD’s', async () => {
    const sizes = `exec 3<>pipes/s; echo hello >&3; stat -L -c %s - <&3; stat -c %s pipes/s; stat -L -c %s - <&3`;
    expect(await mount.output(sizes)).toBe('0\n6\n0\n');
    await mount.setSysctl('ipcfs.fstat_size', 1);
    expect(await mount.output(`rm pipes/s; ${sizes}`)).toBe('6\n6\n6\n');
    await mount.setSysctl('ipcfs.fstat_size', 0);
  });

  const readers = [
    ['fs.readFileSync of Node', `node -e 'console.log(require("fs").readFileSync("pipes/s").length)'`],
    [
      'fs.promises.readFile of Node',
      `node -e 'fs.promises.readFile("pipes/s").then((b) => console.log(b.length))'`,
    ],
    ['read of Python', `python3 -c 'print(len(open("pipes/s", "rb").read()))'`],
    ['wc -c', `wc -c pipes/s | cut -d' ' -f1`],
    ['cat', 'cat pipes/s | wc -c'],
    ['sort', 'sort pipes/s | wc -c'],
  ] as const;
  test.each(readers)('%s reads to end-of-file, not only what was queued at first', async (_name, reader) => {
    // The last line is written when the reader has the pipe open and has taken what was queued.
    const script = `mkfifo pipes/s; exec 3<>pipes/s; echo queued >&3; (exec 3>&-; ${reader}) & exec 4>pipes/s 3>&-
      until [ "$(stat -c %s pipes/s)" = 0 ]; do sleep 0.01; done; echo later >&4; exec 4>&-; wait`;
    expect(await mount.output(script)).toBe('13\n');
  });

  test('a program that trusts the size reads all of it through a pipeline', async () => {
    const script = `seq 300 > "$1"; mkfifo pipes/s; cat "$1" > pipes/s & cat pipes/s | cmp -s - "$1" && echo same`;
    expect(await mount.output(`file=$(mktemp); set -- "$file"; ${script}; rm "$file"`)).toBe('same\n');
  });

  test.each(['r', 'rw'] as const)(
    'sendfile from a pipe opened %s is an error, never its end',
    async (how) => {
      const driver = await mount.driver();
      const path = await mount.fifo('s');
      const writer = await driver.open(path, 'rw');
      const from = await driver.open(path, how);
      await mount.output('mkdir -p pipes/to; mkfifo pipes/to/p');
      const to = await driver.open('pipes/to/p', 'rw');
      const sendfile = { call: 'sendfile', to, from, count: 4096 } as const;
      expect((await driver.call(sendfile)).result).toBe(-22);
      await driver.call({ call: 'fstat', fd: from });
      await driver.call({ call: 'fstat', fd: from });
      expect((await driver.call(sendfile)).result).toBe(-22);
      await driver.write(writer, 'kept');
      expect((await driver.call(sendfile)).result).toBe(-22);
      expect((await driver.read(writer, 10)).text).toBe('kept');
    },
  );

  test("Linux's FIONREAD says -1, which is no count, and BSD's the bytes", async () => {
    const driver = await mount.driver();
    const O_CREAT = 0o100;
    for (const path of ['pipes/made', await mount.fifo('s')]) {
      const fd = await driver.open(path, 'rw', O_CREAT);
      for (const text of ['hello', 'more']) {
        await driver.write(fd, text);
        expect((await driver.ioctl(fd, LINUX_FIONREAD)).value).toBe(-1);
        expect((await driver.ioctl(fd, FIONREAD)).value).toBe(text.length);
        await driver.call({ call: 'fstat', fd });
        await driver.read(fd, 3);
        expect((await driver.ioctl(fd, LINUX_FIONREAD)).value).toBe(-1);
        await driver.read(fd, 10);
      }
    }
  });

  test('a mode that was taken away counts for who opens a descriptor again', async () => {
    const driver = await mount.driver({ ...nobody, cwd: mount.directory });
    await mount.output('mkfifo -m 666 pipes/s');
    const fd = await driver.open('pipes/s', 'rn');
    const again = { call: 'open', path: `/proc/self/fd/${fd}`, flags: 0o4002 } as const;
    const { result } = await driver.call(again);
    expect(result).toBeGreaterThan(0);
    await mount.output('chmod 600 pipes/s');
    await driver.call({ call: 'fstat', fd });
    expect((await driver.call(again)).result).toBe(-13);
  });
});
