import { afterAll, beforeAll, expect, test } from 'vitest';
import { ipcfs } from '../support/cli.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';

const LINES = Number(process.env['IPCFS_QUEUE_LINES'] ?? 400);
const WORKERS = 8;
const LONGEST_LINE_BYTES = LINES > 1000 ? 9000 : 2000;
const KILL_INTERVAL_MS = 50;
const FANOUT_READERS = 100;
const LONG = { timeoutMs: 600_000 };

describeMount('options of a pipe, from a shell', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  /** An answer of ctl. */
  const ask = (request: string, user = {}): Promise<string> =>
    mount.output(`exec 3<>ctl; echo '${request}' >&3; cat <&3`, user);

  test('hold: a writer need not wait for a reader, and its bytes stay', async () => {
    expect(await ask('set pipes/held hold')).toBe('error ENOENT "pipes/held" does not exist\n');
    expect(
      await mount.output(
        'touch pipes/held; echo "set pipes/held hold" > ctl; echo job > pipes/held; echo job 2 > pipes/held; stat -c %s pipes/held; head -c 10 pipes/held; rm pipes/held',
      ),
    ).toBe('10\njob\njob 2\n');
  });

  test('ctl and ipcfs set, get and unset say the same', async () => {
    await mount.output('mkdir pipes/queue');
    expect(await ask('set pipes/queue/ hold lines')).toBe('ok hold lines\n');
    await mount.output('touch pipes/queue/a');
    const path = mount.path('pipes/queue/a');
    expect((await ipcfs(['get', path])).stdout).toBe('hold lines\n');
    expect(await ipcfs(['set', path, 'overflow=oldest', 'capacity=100000'])).toMatchObject({
      status: 0,
      stdout: '',
    });
    expect(await ask('get pipes/queue/a')).toBe('ok hold lines overflow=oldest capacity=102400\n');
    expect(await ipcfs(['unset', path, 'all'])).toMatchObject({ status: 0, stdout: '' });
    expect(await mount.pipe('pipes/queue/a')).toMatchObject({ options: '-' });
    expect((await ipcfs(['set', path, 'jobserver', 'lines'])).stderr).toBe(
      'ipcfs: tokens of a jobserver are single bytes: leave out lines\n',
    );
    expect((await ipcfs(['set', mount.path('info/pipes'), 'hold'])).stderr).toBe(
      'ipcfs: "info/pipes" has no options: name a pipe in pipes/, or a directory of pipes\n',
    );
    expect((await ipcfs(['set', '/tmp/none', 'hold'])).status).toBe(1);
  });

  test('only the owner and root may', async () => {
    await mount.output('touch pipes/owned; chmod 666 pipes/owned');
    const script = `exec 3<>ctl; echo 'set pipes/owned hold' >&3; cat <&3`;
    const answer = await mount
      .output(`setpriv --reuid=65534 --regid=65534 --clear-groups bash -c "${script}"`)
      .catch(String);
    expect(answer).toContain(
      'error EPERM "pipes/owned" belongs to user 0: only its owner and root may change it',
    );
  }, 60_000);

  test(`${WORKERS} workers in a shell, one killed every ${KILL_INTERVAL_MS} ms: no line is torn, lost or twice without a kill`, async () => {
    const seed = seedFromEnvironment();
    console.log(`${LINES} lines with IPCFS_SEED=${seed}`);
    const random = new Random(seed);
    await mount.output('touch pipes/jobs; mkdir -p pipes/done; echo "set pipes/jobs hold lines" > ctl');
    await mount.output('touch pipes/log; echo "set pipes/log hold lines capacity=32M" > ctl');
    // A worker says what it has begun and what it has finished. Its own pid is unique within the test.
    const worker = `while read -r n rest; do echo "begin $$ $n \${#rest}"; echo "end $$ $n \${#rest}"; done < pipes/jobs > pipes/log`;
    const workers = new Map<number, ReturnType<TestMount['start']>>();
    let count = 0;
    const begin = (): void => void workers.set(++count, mount.start(`exec bash -c '${worker}'`, LONG));
    for (let index = 0; index < WORKERS; index++) begin();
    const lengths = Array.from({ length: LINES }, () => 1 + random.below(LONGEST_LINE_BYTES));
    const driver = await mount.driver(LONG);
    const fd = await driver.open('pipes/jobs', 'w');
    let isWritten = false;
    const writing = (async () => {
      for (const [index, length] of lengths.entries()) {
        const line = `${index} ${'x'.repeat(length)}\n`;
        expect((await driver.write(fd, line)).result).toBe(line.length);
      }
      isWritten = true;
    })();
    const killed = new Set<number>();
    const isDone = async (): Promise<boolean> =>
      isWritten && Number((await mount.pipe('pipes/jobs'))['cnt']) === 0;
    while (!(await isDone())) {
      const [first, oldest] = workers.entries().next().value!;
      workers.delete(first);
      killed.add(oldest.pid);
      oldest.kill('SIGKILL');
      await oldest.finished();
      begin();
      await new Promise((resolve) => setTimeout(resolve, KILL_INTERVAL_MS));
    }
    await writing;
    // The last lines are with their workers.
    await until(
      async () =>
        (await mount.pipe('pipes/jobs'))['cnt'] === 0 &&
        (await mount.table('waits')).filter(
          (row) => row['object'] === 'pipes/jobs' && row['wait'] === 'piperd',
        ).length === WORKERS,
      () => 'all workers wait',
      LONG.timeoutMs,
    );
    for (const running of workers.values()) running.kill('SIGTERM');
    await Promise.all([...workers.values()].map((running) => running.finished()));
    const log = await mount.output('echo end-of-log >> pipes/log; sed /end-of-log/q pipes/log', LONG);
    const ends = new Map<number, number[]>();
    const begins = new Map<number, number[]>();
    for (const line of log.trimEnd().split('\n').slice(0, -1)) {
      const match = /^(begin|end) ([0-9]+) ([0-9]+) ([0-9]+)$/.exec(line);
      expect(match, line).not.toBeNull();
      const [pid, index, length] = match!.slice(2).map(Number) as [number, number, number];
      expect(length, line).toBe(lengths[index]);
      const seen = match![1] === 'end' ? ends : begins;
      seen.set(index, [...(seen.get(index) ?? []), pid]);
    }
    for (let index = 0; index < LINES; index++) {
      // A worker may be killed between the end of its work and its next read: then the line comes again.
      const others = ends.get(index)!.filter((pid) => !killed.has(pid));
      expect(ends.get(index)!.length, `line ${index} was worked on to its end`).toBeGreaterThan(0);
      expect(others.length, `line ${index} comes again only after a kill`).toBeLessThanOrEqual(1);
    }
    expect(await mount.pipe('pipes/jobs')).toMatchObject({ 'records-dropped': 0, 'bytes-dropped': 0 });
    await driver.close(fd);
    await mount.output('rm pipes/jobs pipes/log');
  }, 600_000);

  test('a writer at full speed into hold overflow=oldest never waits, and the last lines are there, whole', async () => {
    const output = await mount.output(
      `
      touch pipes/crash; echo 'set pipes/crash hold lines overflow=oldest' > ctl
      seq 1000000 > pipes/crash; echo last > pipes/crash
      sed /last/q pipes/crash`,
      LONG,
    );
    const lines = output.trimEnd().split('\n');
    expect(lines.pop()).toBe('last');
    const first = 1_000_001 - lines.length;
    expect(lines.length).toBeGreaterThan(7000);
    expect(lines.every((line, index) => line === String(first + index))).toBe(true);
    const row = await mount.pipe('pipes/crash');
    expect(row['size']).toBe(65_536);
    expect(Number(row['records-dropped'])).toBe(1_000_000 - lines.length);
    await mount.output('rm pipes/crash');
  }, 120_000);

  test(`fanout: ${FANOUT_READERS} readers get all, one that is stopped loses only its own`, async () => {
    const work = await mount.output('mktemp -d');
    const script = `
      cd ${mount.directory}; work=${work.trim()}
      touch pipes/tee; echo 'set pipes/tee fanout overflow=oldest capacity=1M' > ctl
      for i in $(seq ${FANOUT_READERS}); do md5sum < pipes/tee > $work/$i & pids[i]=$!; done
      exec 3> pipes/tee
      until [ "$(awk '$1 == "pipes/tee" { print $8 }' info/pipes)" = ${FANOUT_READERS} ]; do sleep 0.05; done
      kill -STOP \${pids[1]}
      for i in $(seq 20); do head -c 100000 /dev/zero | tr '\\0' $((i % 10)) >&3
        until [ "$(awk '$1 == "pipes/tee" && $10 >= 99' info/pipes)" ]; do sleep 0.02; [ $((SECONDS)) -lt 60 ] || exit 1; done
      done
      exec 3>&-
      for i in $(seq 2 ${FANOUT_READERS}); do wait \${pids[i]}; done
      kill -CONT \${pids[1]}; wait \${pids[1]}
      for i in $(seq 2 ${FANOUT_READERS}); do cat $work/$i; done | sort | uniq -c
      for i in $(seq 20); do head -c 100000 /dev/zero | tr '\\0' $((i % 10)); done | md5sum
      rm -r $work pipes/tee`;
    const [counted, expected] = (await mount.output(script, LONG)).trimEnd().split('\n');
    expect(counted!.trim()).toBe(`${FANOUT_READERS - 1} ${expected!}`);
  }, 120_000);

  test('jobserver: make runs as many jobs as there are tokens, and those of a killed client come back', async () => {
    const script = `
      work=$(mktemp -d); trap 'rm -r $work' EXIT
      touch pipes/tokens; echo 'set pipes/tokens hold jobserver' > ctl; printf '+++' > pipes/tokens
      (exec bash -c 'exec 3<>pipes/tokens; read -rn 2 -u 3 tokens; kill -9 $$') & wait $!
      stat -c %s pipes/tokens
      printf 'all: 1 2 3 4 5 6\\n\\t@:\\n%%:\\n\\t@sleep 0.1; echo done $@\\n' > $work/Makefile
      exec 8<>pipes/tokens
      MAKEFLAGS="-j --jobserver-auth=8,8" make -s -C $work | sort | tr '\\n' ' '
      stat -c %s pipes/tokens; rm pipes/tokens`;
    expect(await mount.output(script)).toBe('3\ndone 1 done 2 done 3 done 4 done 5 done 6 3\n');
  }, 60_000);

  test('timeout: a read that nothing comes for ends, and the pipe goes on', async () => {
    expect(
      await mount.output(`touch pipes/late; echo 'set pipes/late hold timeout=0.2s' > ctl
        exec 3<>pipes/late; cat <&3; echo x >&3; cat <&3; rm pipes/late`),
    ).toBe('x\n');
  });

  test('an execve that closes a pipe with a line of it is no death, and holds up nobody', async () => {
    await mount.output(
      "touch pipes/exec; echo 'set pipes/exec hold lines' > ctl; printf '1\\n2\\n' > pipes/exec",
    );
    const program = `import os; os.read(os.open('pipes/exec', os.O_RDONLY), 100); os.execvp('sleep', ['sleep', '30'])`;
    const reader = mount.start(`exec python3 -c "${program}"`);
    await until(
      async () => (await mount.output(`cat /proc/${reader.pid}/comm`)).trim() === 'sleep',
      () => 'the program has been replaced',
    );
    reader.kill('SIGKILL');
    await reader.finished();
    expect(await mount.output('head -1 pipes/exec; rm pipes/exec')).toBe('2\n');
  });

  test('truncate sets the capacity, for the owner only', async () => {
    await mount.output('truncate -s 1M pipes/large; chmod 666 pipes/large');
    expect(await mount.pipe('pipes/large')).toMatchObject({ options: 'capacity=1048576' });
    const script = 'head -c 1000000 /dev/zero >&3; stat -c %s pipes/large';
    expect(await mount.output(`exec 3<>pipes/large; ${script}`)).toBe('1000000\n');
    expect(
      (await mount.sh('exec 3<>pipes/large; truncate -s 2M pipes/large', { uid: 65534, gid: 65534 })).stderr,
    ).toContain('Operation not permitted');
    await mount.output('exec 3<>pipes/large; truncate -s 0 pipes/large; rm pipes/large');
  });

  test('a kqueue tells of readers and writers that wait to open, and its reads may end in time', async () => {
    const script = `
      exec 3<>kqueue; echo 'timeout 0.2s' >&3; head -1 <&3; echo nothing
      mkfifo pipes/met; echo 'add open pipes/met' >&3
      cat pipes/met & head -1 <&3; echo x > pipes/met; wait
      echo y > pipes/met & head -1 <&3; cat pipes/met; wait; head -1 <&3; echo nothing
      echo 'timeout soon' >&3 || head -1 <&3`;
    expect((await mount.sh(script)).stdout).toBe(
      [
        'nothing',
        'open pipes/met data=1,0 flags=- fflags=0 udata=-',
        'x',
        'open pipes/met data=0,1 flags=- fflags=0 udata=-',
        'y',
        'nothing',
        'error line=1 errno=EINVAL timeout takes a time up to 24h, as 500ms, 0.5s or 2m, or off',
        '',
      ].join('\n'),
    );
  });

  test('what a worker held when it was killed while its child has the pipe goes to another', async () => {
    await mount.output(
      `touch pipes/shared; echo 'set pipes/shared hold lines' > ctl; echo job > pipes/shared`,
    );
    const worker = mount.start('exec bash -c "read -r job; sleep 30 & echo got; wait" < pipes/shared');
    await until(
      () => worker.stdout.includes('got'),
      () => 'the worker has its line',
    );
    // Its child goes on.
    process.kill(worker.pid, 'SIGKILL');
    expect(await mount.output('head -1 pipes/shared')).toBe('job\n');
    worker.kill('SIGKILL');
    await mount.output('rm pipes/shared');
  });
});
