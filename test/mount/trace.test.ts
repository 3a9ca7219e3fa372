import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TraceFields } from '../../src/cli/trace/trace-lines.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { type Running, until } from '../support/process.ts';
import { alice, asUser, bob, runAs, usedBy } from '../support/users.ts';

/** Opens files and reads from all of them at once. */
const blockProgram = fileURLToPath(new URL('../../dist/scripts/bench/programs/block.js', import.meta.url));

/** What a script prints into info/trace.json between the open and `end`, as objects. */
function traced(script: string, requests = ''): string {
  return `exec 3<>info/trace.json; ${requests} { ${script}; } > /dev/null; echo end >&3; cat <&3; exec 3>&-`;
}

describeMount('info/trace and info/trace.json', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  async function fields(script: string, requests = ''): Promise<TraceFields[]> {
    const lines = (await mount.output(traced(script, requests))).split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as TraceFields);
  }

  /** `call object result` of each line that tells of an end. */
  function endsOf(lines: readonly TraceFields[]): string[] {
    const ends = lines.filter(({ type }) => type === 'end');
    return ends.map(({ call, object, result, error }) => `${call} ${object} ${error ?? result}`);
  }

  async function untilReading(name: string): Promise<void> {
    await until(async () => (await mount.table('handles')).some((row) => row['path'] === `info/${name}`));
  }

  test('each kind of call is a line, in the order in which calls end', async () => {
    const script = `mkfifo pipes/k; exec 4<>pipes/k; echo hello >&4; head -c 6 <&4; exec 4>&-
      chmod 600 pipes/k; ln pipes/k pipes/l; ln -s k pipes/s; readlink pipes/s; mv pipes/l pipes/m; rm pipes/k pipes/m pipes/s
      mkdir pipes/d; ls pipes/d; rmdir pipes/d; stat -f .; echo x > pipes/new & until [ -e pipes/new ]; do :; done; cat pipes/new; wait $!; rm pipes/new
      exec 5<>shm/ctl; flock 5; exec 5>&-`;
    const lines = await fields(script);
    const ends = endsOf(lines);
    const expected = [
      'mknod pipes/k 0',
      'open pipes/k 0',
      'write pipes/k 6',
      'read pipes/k 6',
      'release pipes/k 0',
      'setattr pipes/k 0',
      'link pipes/k 0',
      'symlink pipes/s 0',
      'readlink pipes/s 0',
      'rename pipes/l 0',
      'unlink pipes/k 0',
      'unlink pipes/m 0',
      'mkdir pipes/d 0',
      'opendir pipes/d 0',
      'rmdir pipes/d 0',
      'statfs . 0',
      'create pipes/new 0',
      'write pipes/new 2',
      'read pipes/new 2',
      'unlink pipes/new 0',
      'flock shm/ctl 0',
    ];
    let at = 0;
    for (const line of expected) {
      at = ends.indexOf(line, at);
      expect([line, at]).not.toEqual([line, -1]);
    }
    const rename = lines.find(({ call }) => call === 'rename')!;
    expect(rename).toMatchObject({ object: 'pipes/l', to: 'pipes/m', command: 'mv' });
    expect(lines.find(({ call, object }) => call === 'open' && object === 'pipes/k')).toMatchObject({
      flags: 'rdwr',
      command: 'bash',
    });
    expect(lines.find(({ call, object }) => call === 'read' && object === 'pipes/k')!.command).toBe('head');
    expect(lines.filter(({ object }) => object?.startsWith('info/trace'))).toEqual([]);
  });

  test('a call that waits has a line then and one at its end; the offsets join writes and reads', async () => {
    const script = `mkfifo pipes/w; cat pipes/w & until grep -q fifoor info/waits; do :; done
      { sleep 0.2; printf 12345; head -c 50000 /dev/zero; } > pipes/w; wait; rm pipes/w`;
    const lines = (await fields(script)).filter(({ object }) => object === 'pipes/w');
    const opening = lines.filter(({ call, command }) => call === 'open' && command === 'cat');
    expect(opening.map(({ type, wait }) => [type, wait])).toEqual([
      ['wait', 'fifoor'],
      ['end', undefined],
    ]);
    const reads = lines.filter(({ call, type, result }) => call === 'read' && type === 'end' && result! > 0);
    const [first] = reads;
    expect(first).toMatchObject({ offset: 0, result: 5 });
    expect(first!.blocked).toBeGreaterThan(0.1);
    expect(first!.duration).toBeGreaterThanOrEqual(first!.blocked!);
    const writes = lines.filter(({ call, type }) => call === 'write' && type === 'end');
    for (const moved of [reads, writes]) {
      let at = 0;
      for (const { offset, result } of moved) {
        expect(offset).toBe(at);
        at += result!;
      }
      expect(at).toBe(50_005);
    }
    const now = Date.now() / 1000;
    for (const { time } of lines) expect(Math.abs(now - time)).toBeLessThan(60);
  });

  test('an interrupted call, a missing reader and a full pipe have the names of their errors', async () => {
    const script = `mkfifo pipes/e; timeout -s INT 0.2 cat pipes/e; exec 4<>pipes/e
      dd if=/dev/zero of=pipes/e bs=100000 oflag=nonblock count=1; dd if=/dev/zero of=pipes/e bs=100 oflag=nonblock count=1
      exec 4>&-; rm pipes/e`;
    const { stdout } = await mount.sh(traced(`${script}; :`));
    const lines = stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as TraceFields);
    const ends = endsOf(lines);
    expect(ends).toContain('open pipes/e EINTR');
    expect(ends).toContain('write pipes/e EAGAIN');
  });

  test('events of a kqueue are lines beside the read that collects them', async () => {
    const script = `exec 4<>kqueue; echo 'add timer 7 data=20 udata=token' >&4; read -r event <&4; exec 4>&-`;
    const lines = await fields(script);
    const event = lines.findIndex(({ type }) => type === 'event');
    expect(lines[event]).toMatchObject({ call: 'event', object: 'kqueue', command: 'bash' });
    expect(lines[event]!.event).toMatch(/^timer 7 data=[1-9][0-9]* flags=clear fflags=0$/);
    expect(lines[event + 1]).toMatchObject({ type: 'end', call: 'read', object: 'kqueue' });
  });

  test('the text has the columns that the guide names, each a word', async () => {
    const script = `exec 3<>info/trace; mkfifo 'pipes/a b'; echo hi 1<>'pipes/a b'; rm 'pipes/a b'; echo end >&3; cat <&3`;
    const lines = (await mount.output(script)).split('\n').slice(0, -1);
    for (const line of lines) {
      expect(line).toMatch(
        /^[0-9]{10}\.[0-9]{6} [0-9]+\.[0-9]{6} (?:[0-9]+\.[0-9]{6}|-) ([0-9]+|-) \S+ [a-z]+ \S+ \S+ \S+$/,
      );
    }
    expect(
      lines.some((line) => line.includes(String.raw` bash write pipes/a\040b size=3,offset=0,fill=3 3`)),
    ).toBe(true);
  });

  test('a shell reads line by line, byte by byte, and gets whole lines', async () => {
    const script = `exec 3<info/trace; mkfifo pipes/l; rm pipes/l
      while read -r time duration blocked pid command call object details result <&3; do
        echo "$command $call $object $result"; [ "$call" = unlink ] && break
      done`;
    const lines = (await mount.output(script)).split('\n');
    expect(lines).toContain('mkfifo mknod pipes/l 0');
    expect(lines.slice(-2)).toEqual(['rm unlink pipes/l 0', '']);
  });

  test('a reader that is stopped loses lines, is told how many, and slows nobody', async () => {
    const reader = mount.start('exec cat info/trace.json', { timeoutMs: 120_000 });
    await untilReading('trace.json');
    reader.child.kill('SIGSTOP');
    const driver = await mount.driver();
    await mount.fifo('many');
    const fd = await driver.open('pipes/many', 'rwn');
    // 100,000 calls and more: dd makes two of each block.
    await mount.output(
      'exec 4<>pipes/many; dd if=/dev/zero bs=1 count=50000 status=none | dd bs=1 status=none >&4 & exec 5<>pipes/many; dd bs=1 count=50000 status=none <&5 | wc -c; wait',
      {
        timeoutMs: 90_000,
      },
    );
    await driver.close(fd);
    reader.child.kill('SIGCONT');
    await mount.output('mkfifo pipes/marker');
    await until(
      () => reader.stdout.includes('pipes/marker'),
      () => reader.stdout.slice(-500),
      60_000,
    );
    reader.kill('SIGKILL');
    const lines = reader.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as TraceFields);
    const lost = lines.filter(({ type }) => type === 'lost').reduce((sum, line) => sum + line.lines!, 0);
    const moved = lines.filter(
      ({ object, call, type }) =>
        object === 'pipes/many' && type === 'end' && (call === 'read' || call === 'write'),
    );
    expect(lost).toBeGreaterThan(50_000);
    expect(moved.length + lost).toBeGreaterThanOrEqual(100_000);
    // Of what is left nothing is missing in between: the offsets of reads go on.
    const reads = moved
      .filter(({ call, result }) => call === 'read' && result! > 0)
      .map(({ offset }) => offset!);
    const afterLoss = reads.slice(reads.findIndex((offset, index) => offset !== reads[0]! + index));
    for (const [index, offset] of afterLoss.entries()) expect(offset).toBe(afterLoss[0]! + index);
    await mount.output('rm pipes/many pipes/marker');
  }, 150_000);

  test('two readers read the same, and kill -9 of one leaves nothing', async () => {
    const readers = [1, 2].map(() => mount.start('exec cat info/trace', { timeoutMs: 60_000 }));
    await until(
      async () => (await mount.table('handles')).filter((row) => row['path'] === 'info/trace').length === 2,
    );
    await mount.output('mkfifo pipes/two; rm pipes/two');
    for (const reader of readers) await until(() => reader.stdout.includes('unlink pipes/two'));
    const [one, other] = readers as [Running, Running];
    expect(one.stdout.split('\n').filter((line) => line.includes('pipes/two'))).toEqual(
      other.stdout.split('\n').filter((line) => line.includes('pipes/two')),
    );
    one.child.kill('SIGKILL');
    await until(
      async () => (await mount.table('handles')).filter((row) => row['path'] === 'info/trace').length === 1,
    );
    await mount.output('mkfifo pipes/after; rm pipes/after');
    await until(() => other.stdout.includes('unlink pipes/after'));
    other.child.kill('SIGKILL');
    await until(async () => (await mount.table('handles')).every((row) => row['path'] !== 'info/trace'));
  });

  test('[SEC-2] everybody sees calls; bytes are seen by the owner of the pipe and root', async () => {
    const script = traced('until [ -e pipes/told ]; do sleep 0.02; done', 'echo content >&3;');
    const watchers = [alice, bob].map((user) => mount.start(asUser(user, script)));
    await until(
      async () =>
        (await mount.table('handles')).filter((row) => row['path'] === 'info/trace.json').length === 2,
    );
    expect(await usedBy(mount, bob, 'held_bytes')).toBeGreaterThan(8 * 1024 ** 2);
    const { status } = await runAs(
      mount,
      alice,
      `umask 000; mkfifo pipes/hers; exec 4<>pipes/hers; echo zebra7391 >&4; head -c 10 <&4; mkfifo pipes/told`,
    );
    expect(status).toBe(0);
    const seen: string[] = [];
    for (const watcher of watchers) {
      const finished = await watcher.finished();
      expect(finished.status).toBe(0);
      seen.push(finished.stdout);
    }
    const secret = Buffer.from('zebra7391\n').toString('base64');
    expect(seen.map((text) => text.split(secret).length - 1)).toEqual([2, 0]);
    for (const text of seen) expect(text).toContain('"call":"write","object":"pipes/hers"');
    await until(async () => (await usedBy(mount, bob, 'held_bytes')) === 0);
    await mount.output('rm pipes/hers pipes/told');
  });

  test('a blocked read of the trace is in info/waits, and the unmount ends it', async () => {
    const own = await TestMount.start();
    const reader = mount.start(`cat '${own.path('info/trace')}'`);
    await own.untilBlocked('info/trace', 'trace');
    expect((await own.table('waits'))[0]).toMatchObject({
      call: 'read',
      until: 'something happens in the mount',
    });
    await own.stop();
    const { status, stderr } = await reader.finished();
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/Interrupted system call|connection abort|Operation canceled/),
    ]);
  });

  test('beside 10,000 blocked calls lines come as soon as without them', async () => {
    await mount.setSysctl('ipcfs.quota.blocked_calls', 20_000);
    await mount.output('mkfifo pipes/crowd');
    const crowd = Array.from({ length: 10 }, () =>
      mount.start(`exec '${process.execPath}' '${blockProgram}' $(yes pipes/crowd | head -n 1000)`, {
        timeoutMs: 150_000,
        env: { UV_THREADPOOL_SIZE: '1000' },
      }),
    );
    try {
      await until(
        async () => (await mount.blockedCount('pipes/crowd', 'piperd')) === 10_000,
        undefined,
        60_000,
      );
      const lines = await fields('mkfifo pipes/c; echo x 1<>pipes/c; rm pipes/c');
      expect(endsOf(lines)).toEqual(
        expect.arrayContaining(['mknod pipes/c 0', 'write pipes/c 2', 'unlink pipes/c 0']),
      );
      const reader = mount.start('exec cat info/trace.json > /dev/null', { timeoutMs: 60_000 });
      await untilReading('trace.json');
      reader.child.kill('SIGKILL');
      await until(async () =>
        (await mount.table('handles')).every((row) => row['path'] !== 'info/trace.json'),
      );
    } finally {
      for (const running of crowd) running.kill('SIGKILL');
      await until(async () => (await mount.table('waits')).length === 0, undefined, 60_000);
    }
    await mount.output('rm pipes/crowd');
  }, 180_000);
});
