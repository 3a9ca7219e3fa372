import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand } from '../support/cli.ts';
import type { Driver } from '../support/driver-client.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import { Terminal } from '../support/terminal.ts';

interface TraceLine {
  readonly type: string;
  readonly call: string;
  readonly object?: string;
  readonly offset?: number;
  readonly result?: number;
}

describeMount('what is shown of pipes with options', () => {
  let mount: TestMount;
  let driver: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterEach(async () => {
    await mount.endDrivers();
    await mount.output('rm pipes/*');
  });
  afterAll(() => mount.stop());

  async function pipe(name: string, options: string): Promise<string> {
    await mount.output(`touch pipes/${name}; echo 'set pipes/${name} ${options}' > ctl`);
    driver = await mount.driver();
    return `pipes/${name}`;
  }

  /** Reads and writes of `path` while `act` runs: call, offset and result of each. */
  async function moves(path: string, act: () => Promise<void>): Promise<string[]> {
    const reader = mount.start('exec cat info/trace.json');
    await until(async () =>
      (await mount.table('handles')).some(
        (row) => row['path'] === 'info/trace.json' && row['pid'] === reader.pid,
      ),
    );
    await act();
    await mount.output('touch pipes/marker; rm pipes/marker');
    await until(() => reader.stdout.includes('pipes/marker'));
    reader.kill('SIGKILL');
    return reader.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as TraceLine)
      .filter(({ type, call, object }) => type === 'end' && object === path && /^(read|write)$/.test(call))
      .map(({ call, offset, result }) => `${call} ${offset ?? '-'} ${result}`);
  }

  test('trace: bytes that were dropped count in the offsets, a line has one when it is whole', async () => {
    const path = await pipe('log', 'hold lines overflow=oldest capacity=4K');
    const seen = await moves(path, async () => {
      const file = await driver.open(path, 'rw');
      for (let number = 0; number < 100; number++) await driver.write(file, `${'x'.repeat(98)}y\n`);
      await driver.read(file, 1000);
      await driver.write(file, 'ab');
      await driver.write(file, 'c\n');
      await driver.write(file, 'd\ne\n');
    });
    const writes = Array.from({ length: 100 }, (_, number) => `write ${100 * number} 100`);
    // 40 lines of 100 bytes fit into 4 KiB: the first that is left is line 60.
    expect(seen).toEqual([...writes, 'read 6000 100', 'write - 2', 'write 10002 2', 'write 10004 4']);
    expect(await mount.pipe(path)).toMatchObject({ 'bytes-dropped': 6000, 'records-dropped': 60 });
  });

  test('trace: a record that came back has its old offset, what follows a new one', async () => {
    const path = await pipe('again', 'hold lines');
    const seen = await moves(path, async () => {
      await mount.output(`printf 'one\\ntwo\\n' > ${path}`);
      // It reads byte by byte, and is killed with the line in its hands.
      await mount.sh(`bash -c 'read -r line; kill -9 $$' < ${path}`);
      await mount.output(`head -1 ${path}; head -1 ${path}`);
    });
    expect(seen).toEqual([
      'write 0 4',
      'write 4 4',
      'read 0 1',
      'read 1 1',
      'read 2 1',
      'read 3 1',
      'read 0 4',
      'read 4 4',
    ]);
  });

  test('trace: every reader of a fanout has the offsets of the writer, also after a loss', async () => {
    const path = await pipe('tee', 'fanout overflow=oldest capacity=4K records');
    const seen = await moves(path, async () => {
      const [one, two] = [await driver.open(path, 'rn'), await driver.open(path, 'rn')];
      const writer = await driver.open(path, 'w');
      await driver.write(writer, 'abc');
      for (const reader of [one, two]) await driver.read(reader, 100);
      for (let number = 0; number < 3; number++) await driver.write(writer, 'x'.repeat(2000));
      await driver.read(two, 100);
    });
    expect(seen).toEqual([
      ...['write 0 3', 'read 0 3', 'read 0 3', 'write 3 2000', 'write 2003 2000', 'write 4003 2000'],
      'read 2003 100',
    ]);
  });

  test('trace: bytes that nobody has read when the pipe is closed stay in the count', async () => {
    const path = await pipe('plain', 'hold');
    await mount.output(`echo 'unset ${path} hold' > ctl`);
    const seen = await moves(path, async () => {
      const first = await driver.open(path, 'rw');
      await driver.write(first, 'lost');
      await driver.close(first);
      const second = await driver.open(path, 'rw');
      await driver.write(second, 'kept');
      await driver.read(second, 4);
    });
    expect(seen).toEqual(['write 0 4', 'write 4 4', 'read 4 4']);
  });

  /** What ends the only wait on a pipe. */
  async function untilOf(path: string, wait: string): Promise<unknown> {
    await mount.untilBlocked(path, wait);
    return (await mount.table('waits')).find((row) => row['object'] === path && row['wait'] === wait)![
      'until'
    ];
  }

  test('waits: a held pipe has no last writer or reader, and a jobserver waits for tokens', async () => {
    const path = await pipe('held', 'hold capacity=4K');
    const file = await driver.open(path, 'rw');
    const read = driver.read(file, 1);
    expect(await untilOf(path, 'piperd')).toBe('data comes');
    const writer = await mount.driver();
    const fd = await writer.open(path, 'w');
    await writer.write(fd, 'x');
    await read;
    await writer.write(fd, 'x'.repeat(4096));
    const write = writer.write(fd, 'y');
    expect(await untilOf(path, 'pipewr')).toBe('readers make room for 1 byte');
    await driver.read(file, 4096);
    await write;
    await driver.read(file, 1);
    await mount.output(`echo 'set ${path} jobserver timeout=1m' > ctl`);
    void driver.read(file, 1).catch(() => null);
    expect(await untilOf(path, 'piperd')).toBe('a token comes back, or 60000 ms pass');
  });

  test('waits: the slowest reader of a fanout holds its writer up', async () => {
    const path = await pipe('slow', 'fanout capacity=4K');
    for (let count = 0; count < 2; count++) await driver.open(path, 'rn');
    const writer = await mount.driver();
    const fd = await writer.open(path, 'w');
    await writer.write(fd, 'x'.repeat(4096));
    void writer.write(fd, 'y').catch(() => null);
    expect(await untilOf(path, 'pipewr')).toBe(
      'the slowest of its 2 readers makes room for 1 byte, or closes',
    );
  });

  test('waits: a long record holds up other writers, and other readers', async () => {
    const path = await pipe('long', 'hold lines capacity=4K');
    const file = await driver.open(path, 'rw');
    const [writer, other] = [await mount.driver(), await mount.driver()];
    void writer.write(await writer.open(path, 'w'), 'x'.repeat(9000)).catch(() => null);
    expect(await untilOf(path, 'pipewr')).toBe('readers take a long record, then 4905 bytes');
    await driver.read(file, 10);
    void other.read(await other.open(path, 'r'), 10).catch(() => null);
    expect(await untilOf(path, 'piperd')).toBe('the reader of a long record takes the rest of it');
  });

  test('ipcfs status and ipcfs top show options and losses, where there are some', async () => {
    await mount.output('mkfifo pipes/bare');
    const status = async (): Promise<string[]> => {
      const { stdout } = await ipcfs(['status', mount.directory]);
      return Buffer.from(stdout, 'latin1').toString('utf8').split('\n');
    };
    expect((await status()).find((line) => line.startsWith('PIPE'))).not.toMatch(/OPTIONS|DROPPED/);
    const path = await pipe('shown', 'hold lines overflow=oldest capacity=4K');
    expect((await status()).find((line) => line.startsWith('PIPE'))).toMatch(/STATE +OPTIONS +BLOCKED/);
    await mount.output(`yes 123456789 | head -1000 > ${path}`);
    const lines = await status();
    expect(lines.find((line) => line.startsWith('PIPE'))).toMatch(/OPTIONS +DROPPED +BLOCKED/);
    expect(lines.find((line) => line.startsWith(path))).toMatch(
      /closed +hold,lines,overflow=oldest,capacity=4096 +591 records, 5.8K +-$/,
    );
    expect(lines.find((line) => line.startsWith('pipes/bare'))).toMatch(/closed +- +- +-$/);
    const terminal = await Terminal.start({ columns: 200, rows: 60 });
    try {
      await terminal.enter(`${ipcfsCommand} top --interval 0.2 ${mount.directory}`);
      await terminal.until(/STATE +OPTIONS/);
      await terminal.until(/closed +hold,lines,/);
      await terminal.press('Enter');
      await terminal.until(
        /options hold,lines,overflow=oldest,capacity=4096; dropped 5910 bytes, 591 whole records among them/,
      );
    } finally {
      await terminal.stop();
    }
  });
});
