import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { queue, startBridge, startReader } from '../support/bridge.ts';
import { ipcfs } from '../support/cli.ts';
import { TestMount } from '../support/mount.ts';
import { describeBridge, NatsServer } from '../support/nats-server.ts';
import { run, type Running, until } from '../support/process.ts';

describeBridge('ipcfs bridge', () => {
  let mount: TestMount;
  let server: NatsServer;
  const running: Running[] = [];
  let number = 0;

  beforeAll(async () => {
    mount = await TestMount.start();
    server = await NatsServer.start();
  });
  afterEach(async () => {
    for (const process of running) process.kill('SIGKILL');
    await Promise.all(running.splice(0).map((process) => process.finished()));
  });
  afterAll(async () => {
    await mount.stop();
    await server.clean();
  });

  function bridge(pipe: string, subject: string, ...args: string[]): Running {
    const started = startBridge([pipe, server.url(subject), ...args]);
    running.push(started);
    return started;
  }

  function reader(path: string): Running {
    const started = startReader(path);
    running.push(started);
    return started;
  }

  /** A subject and two pipes that nobody else uses. */
  async function pair(options?: string): Promise<{ subject: string; from: string; to: string }> {
    number++;
    return {
      subject: `test.s${number}`,
      from: await queue(mount, `from${number}`, options),
      to: await queue(mount, `to${number}`, options),
    };
  }

  async function refusal(...args: string[]): Promise<string> {
    const { status, stderr } = await ipcfs(['bridge', ...args], { timeoutMs: 20_000 });
    return `${status ?? 'signal'} ${stderr}`;
  }

  /** Path in the mount. */
  function nameOf(path: string): string {
    return path.slice(mount.directory.length + 1);
  }

  async function untilPrinted(process: Running, text: string): Promise<void> {
    await until(
      () => process.stdout === text,
      () =>
        `${JSON.stringify(text)}, read ${JSON.stringify(process.stdout)}, ${running.map(({ stderr }) => stderr).join()}`,
    );
  }

  async function untilStatus(subject: string, role: string, text: string): Promise<void> {
    let seen = '';
    await until(
      async () => {
        const { stdout, stderr } = await ipcfs([
          'bridge',
          'x',
          server.url(subject),
          '--role',
          role,
          '--status',
        ]);
        seen = stdout + stderr;
        return seen.includes(text);
      },
      () => `${text} in ${seen}`,
    );
  }

  test('carries lines of every kind: empty ones, long ones, bytes that are no text', async () => {
    const { subject, from, to } = await pair('hold lines capacity=1M');
    bridge(from, subject, '--role', 'work', '--out');
    bridge(to, subject, '--role', 'work', '--in');
    const lines = ['a', '', '  b  ', '\0\x01\xff\xfe', 'x'.repeat(200_000), '', 'end']
      .map((line) => `${line}\n`)
      .join('');
    const read = reader(to);
    const file = join(tmpdir(), `ipcfs-bridge-lines-${process.pid}`);
    writeFileSync(file, Buffer.from(lines, 'latin1'));
    await mount.output(`cat ${file} > ${from}`);
    rmSync(file);
    await untilPrinted(read, lines);
  });

  test('carries records with newlines as they were written, and lines where the other pipe has lines', async () => {
    const { subject, from } = await pair('hold records requeue');
    const records = await queue(mount, `records${number}`, 'hold records');
    const lines = await queue(mount, `lines${number}`);
    bridge(from, subject, '--role', 'log', '--out');
    bridge(records, subject, '--role', 'log', '--in');
    bridge(lines, subject, '--role', 'log', '--in');
    const driver = await mount.driver();
    const [input, output] = [await driver.open(from, 'w'), await driver.open(records, 'r')];
    for (const text of ['a\nb\n', 'c']) await driver.write(input, text);
    expect(await driver.read(output, 100)).toMatchObject({ text: 'a\nb\n' });
    expect(await driver.read(output, 100)).toMatchObject({ text: 'c' });
    await untilPrinted(reader(lines), 'a\nb\nc\n');
  });

  test('work: acknowledges a record when a reader has it, and not before', async () => {
    const { subject, from, to } = await pair();
    bridge(from, subject, '--role', 'work', '--out');
    bridge(to, subject, '--role', 'work', '--in', '--ack-wait', '1');
    await mount.output(`printf 'a\\nb\\n' > ${from}`);
    await untilStatus(subject, 'work', 'workers        0      2      0');
    // Longer than the silence after which others get it: it is not silent.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await untilStatus(subject, 'work', 'workers        0      2      0');
    await untilPrinted(reader(to), 'a\nb\n');
    await untilStatus(subject, 'work', ': 0 records');
  });

  test('work: of two machines one gets a record', async () => {
    const { subject, from, to } = await pair();
    const other = await queue(mount, `other${number}`);
    bridge(from, subject, '--role', 'work', '--out');
    for (const pipe of [to, other]) bridge(pipe, subject, '--role', 'work', '--in', '--window', '1');
    const readers = [reader(to), reader(other)];
    await mount.output(`seq 400 > ${from}`);
    const all = (): string[] => readers.flatMap(({ stdout }) => stdout.trim().split('\n'));
    await until(() => all().length >= 400);
    expect(all().sort()).toEqual(Array.from({ length: 400 }, (_, index) => String(index + 1)).sort());
    expect(readers.every(({ stdout }) => stdout.length > 0)).toBe(true);
  });

  test('work: a full pipe holds the stream up, and a full stream its writers', async () => {
    const { subject, from, to } = await pair('hold lines capacity=4096');
    bridge(from, subject, '--role', 'work', '--out', '--max-bytes', '20K');
    bridge(to, subject, '--role', 'work', '--in', '--window', '2');
    const line = 'y'.repeat(999);
    const writer = mount.start(`for n in {1..60}; do echo "$n ${line}"; done > ${from}`);
    running.push(writer);
    await mount.untilBlocked(nameOf(from), 'pipewr');
    const lines = Array.from({ length: 60 }, (_, index) => `${index + 1} ${line}\n`).join('');
    await untilPrinted(reader(to), lines);
    expect((await writer.finished()).status).toBe(0);
  });

  test('broadcast: every machine gets what comes after it has begun', async () => {
    const { subject, from, to } = await pair();
    const other = await queue(mount, `other${number}`);
    bridge(from, subject, '--role', 'broadcast', '--out');
    await mount.output(`echo before > ${from}`);
    await untilStatus(subject, 'broadcast', ': 1 records');
    for (const pipe of [to, other]) bridge(pipe, subject, '--role', 'broadcast', '--in');
    await until(async () => {
      const { stdout } = await ipcfs(['bridge', 'x', server.url(subject), '--role', 'log', '--status']);
      return stdout.trim().split('\n').length === 4;
    });
    await mount.output(`printf '1\\n2\\n' > ${from}`);
    for (const pipe of [to, other]) await untilPrinted(reader(pipe), '1\n2\n');
  });

  test('log: a name keeps its position, a number is one', async () => {
    const { subject, from, to } = await pair();
    const other = await queue(mount, `other${number}`);
    bridge(from, subject, '--role', 'log', '--out');
    await mount.output(`printf '1\\n2\\n' > ${from}`);
    const read = reader(to);
    const first = bridge(to, subject, '--role', 'log', '--in', '--durable', 'me');
    await untilPrinted(read, '1\n2\n');
    await untilStatus(subject, 'log', 'me');
    first.kill('SIGTERM');
    expect((await first.finished()).status).toBe(0);
    await mount.output(`printf '3\\n4\\n' > ${from}`);
    await untilStatus(subject, 'log', ': 4 records');
    bridge(to, subject, '--role', 'log', '--in', '--durable', 'me');
    await untilPrinted(read, '1\n2\n3\n4\n');
    bridge(other, subject, '--role', 'log', '--in', '--from', '4');
    await untilPrinted(reader(other), '4\n');
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'records that the stream does not have are in the pipe again after %s',
    async (signal) => {
      const own = await NatsServer.start();
      try {
        const { from } = await pair();
        const out = startBridge([from, own.url('jobs'), '--role', 'work', '--out']);
        running.push(out);
        await until(async () => (await mount.pipe(nameOf(from)))['blocked-readers'] === 1);
        await own.end();
        await until(() => out.stderr.includes('trying again'));
        await mount.output(`printf '1\\n2\\n3\\n' > ${from}`);
        await until(async () => (await mount.pipe(nameOf(from)))['cnt'] === 0);
        out.child.kill(signal);
        expect((await out.finished()).signal).toBe(signal);
        await untilPrinted(reader(from), '1\n2\n3\n');
      } finally {
        await own.clean();
      }
    },
  );

  test('a bridge that has sent everything leaves nothing behind when it ends', async () => {
    const { subject, from } = await pair();
    const out = bridge(from, subject, '--role', 'work', '--out');
    await mount.output(`printf '1\\n2\\n' > ${from}`);
    await untilStatus(subject, 'work', ': 2 records');
    out.kill('SIGTERM');
    await out.finished();
    expect(await mount.output(`stat -c %s ${from}`)).toBe('0\n');
  });

  test('a user event triggers that of another kqueue, with its data and flags', async () => {
    await mount.output('touch kqueues/from kqueues/to');
    bridge(`${mount.path('kqueues/to')} user 8`, 'events', '--role', 'log', '--in');
    bridge(`${mount.path('kqueues/from')} user 7`, 'events', '--role', 'log', '--out');
    const watcher = mount.start(
      'exec 3<>kqueues/to; echo \'add user 8 clear udata=mine\' >&3; echo ready; read -r event <&3; echo "$event"',
    );
    running.push(watcher);
    await until(() => watcher.stdout === 'ready\n');
    await until(async () =>
      (await mount.table('knotes')).some((row) => row['ident'] === '7' || row['ident'] === 7),
    );
    await mount.output("exec 3<>kqueues/from; echo 'modify user 7 data=5 ffcopy=0x21 trigger' >&3");
    await untilPrinted(watcher, 'ready\nuser 8 data=5 flags=clear fflags=0x21 udata=mine\n');
  });

  test('counts what it does, in the text format of Prometheus', async () => {
    const { subject, from } = await pair();
    const file = join(tmpdir(), `ipcfs-bridge-metrics-${process.pid}`);
    bridge(from, subject, '--role', 'work', '--out', '--metrics', file);
    await mount.output(`printf '1\\n22\\n' > ${from}`);
    const labels = `{pipe="${from}",subject="${subject}",role="work",direction="out"}`;
    await until(() => readIfThere(file).includes(`ipcfs_bridge_records_total${labels} 2\n`));
    expect(readIfThere(file)).toContain(`ipcfs_bridge_bytes_total${labels} 3\n`);
    expect(readIfThere(file)).toContain(`ipcfs_bridge_connected${labels} 1\n`);
    rmSync(file);
  });

  test('connects with a password, from the address or a file, and says when it is refused', async () => {
    const guarded = await NatsServer.start({ args: ['--user', 'me', '--pass', 'secret'] });
    try {
      const { from } = await pair();
      const url = guarded.url('jobs');
      expect(await refusal(from, url, '--role', 'work', '--out')).toMatch(
        /^1 ipcfs: the server refuses the connection \(.*\): give credentials with --creds or --connection\n$/,
      );
      const file = join(tmpdir(), `ipcfs-bridge-connection-${process.pid}.json`);
      writeFileSync(file, '{"user":"me","pass":"secret"}', { mode: 0o600 });
      running.push(startBridge([from, url, '--role', 'work', '--out', '--connection', file]));
      const withPassword = url.replace('//', '//me:secret@');
      await until(async () => {
        const { stdout } = await ipcfs(['bridge', 'x', withPassword, '--role', 'work', '--status']);
        return stdout.startsWith('stream jobs: 0 records');
      });
      rmSync(file);
    } finally {
      await guarded.clean();
    }
  });

  test('says in a line what is wrong', async () => {
    const { subject, from } = await pair();
    await mount.output('touch pipes/plain kqueues/events');
    const url = server.url(subject);
    const plain = mount.path('pipes/plain');
    expect(await refusal(plain, url, '--role', 'work', '--out')).toBe(
      `1 ipcfs: ${plain} does not keep whole records: run 'ipcfs set ${plain} hold lines'\n`,
    );
    const records = await queue(mount, `records${number}`, 'hold records');
    expect(await refusal(records, url, '--role', 'work', '--out')).toBe(
      `1 ipcfs: ${records} does not take back the records of a process that is killed: run 'ipcfs set ${records} hold records requeue'\n`,
    );
    const log = await queue(mount, `log${number}`, 'hold lines overflow=oldest');
    expect(await refusal(log, url, '--role', 'work', '--in')).toBe(
      `1 ipcfs: ${log} drops records when it is full: run 'ipcfs unset ${log} overflow', or use the role log\n`,
    );
    expect(await refusal(mount.path('pipes/none'), url, '--role', 'work', '--out')).toMatch(
      /^1 ipcfs: .*does not exist\n$/,
    );
    expect(await refusal('/etc/passwd', url, '--role', 'work', '--out')).toBe(
      '1 ipcfs: /etc/passwd lies in no ipcfs mount: name DIR/pipes/NAME\n',
    );
    expect(await refusal(`${plain} user 7`, url, '--role', 'work', '--out')).toBe(
      `2 ipcfs: ${plain} is no kqueue: name DIR/kqueues/NAME\n`,
    );
    expect(await refusal(from, url, '--out')).toBe('2 ipcfs: --role is missing: give work, broadcast, log\n');
    expect(await refusal(from, url, '--role', 'work', '--status')).toBe(
      `1 ipcfs: the stream ${subject.replace('.', '_')} cannot be asked: stream not found\n`,
    );
  });

  test('a stream of another role is refused', async () => {
    const { subject, from, to } = await pair();
    bridge(from, subject, '--role', 'work', '--out');
    await untilStatus(subject, 'work', ': 0 records');
    expect(await refusal(to, server.url(subject), '--role', 'log', '--in')).toBe(
      `1 ipcfs: the stream ${subject.replace('.', '_')} has the retention workqueue, which drops what one reader has: log needs limits, use another subject\n`,
    );
  });

  test('a record that the server never takes ends the bridge, and stays in the pipe', async () => {
    const { subject, from } = await pair('hold lines capacity=2M');
    await mount.output(`{ head -c 1200000 /dev/zero | tr '\\0' x; echo; } > ${from}`);
    const { stderr, signal } = await bridge(from, subject, '--role', 'work', '--out').finished();
    expect(stderr).toContain('a record of 1200000 bytes is more than the server takes');
    expect(signal).toBe('SIGTERM');
    expect(await mount.output(`stat -c %s ${from}`)).toBe('1200001\n');
  });

  test('without the packages of the client it says how to install them', async () => {
    // A directory in their place: resolution fails as where they are not installed.
    const { stderr } = await run('unshare', [
      '-m',
      'bash',
      '-c',
      `mount -t tmpfs none node_modules/@nats-io && exec node dist/src/cli/main.js bridge x nats://h/s --role work --out`,
    ]);
    expect(stderr).toBe(
      "ipcfs: bridges need NATS's client: run 'npm install @nats-io/transport-node @nats-io/jetstream' where ipcfs is installed (-g if it is global)\n",
    );
  });
});

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
