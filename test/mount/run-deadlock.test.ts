import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { describeMount } from '../support/mount.ts';
import { RunBench } from '../support/run-bench.ts';

const SECOND_MS = 1000;

/** Two that each read before they write what the other reads. The second prints the time at which it begins to wait. */
const CYCLE = `mkfifo pipes/a pipes/b
  bash -c 'exec 3<pipes/a 4>pipes/b; read -r x <&3; echo "$x" >&4' &
  bash -c 'exec 4>pipes/a 3<pipes/b; date +%s%3N; read -r x <&3; echo "$x" >&4' &`;

const WAIT_FOR_EACH_OTHER =
  /^ipcfs: deadlock: bash \d+ in read of pipes\/[ab] and bash \d+ in read of pipes\/[ab] wait for each other, and nobody else can end it\n/;

describeMount('ipcfs run, of calls that never end', () => {
  const bench = new RunBench();
  afterEach(() => {
    bench.expectNothingLeft();
  });
  afterAll(() => {
    bench.clean();
  });

  describe('--deadlock fail, the default', () => {
    test('a script of three processes with a deadlock of two ends with 3 within a second, and names both', async () => {
      const { status, stdout, stderr } = await bench.script(
        `${CYCLE} trap 'date +%s%3N' TERM; sleep 100 & wait`,
      );
      expect([status, stderr]).toEqual([3, expect.stringMatching(WAIT_FOR_EACH_OTHER)]);
      expect(stderr.match(/^ipcfs:/gm)).toHaveLength(1);
      // The shell in it prints when it began and when it was ended.
      const [begin, end] = stdout.trim().split('\n').map(Number) as [number, number];
      expect(end - begin).toBeLessThan(SECOND_MS);
    });

    test('a cycle through select is reported as likely, and the run goes on', async () => {
      const { status, stdout, stderr } = await bench.script(
        `mkfifo pipes/a pipes/b
        python3 -c "
import os, select
fd, out = os.open('pipes/a', os.O_RDONLY | os.O_NONBLOCK), os.open('pipes/b', os.O_RDWR)
select.select([fd], [], [])" &
        bash -c 'exec 3<>pipes/a 4<pipes/b; read -r x <&4' &
        sleep 4; kill %1 %2; echo done; exit 8`,
      );
      expect([status, stdout]).toEqual([8, 'done\n']);
      expect(stderr).toMatch(
        /^ipcfs: likely deadlock: (python3 \d+ in p?select6? of pipes\/a|bash \d+ in read of pipes\/b) and \w+ \d+ in \w+ of pipes\/[ab] wait for each other, and nobody else is seen that could end it\n/,
      );
      expect(stderr.match(/^ipcfs:/gm)).toHaveLength(1);
    });

    // bash waits for its children in wait4(2), dash in sigsuspend(2).
    test.each(['bash', 'dash'])(
      'two that wait in open for each other, in the wrong order, and a %s that waits for both',
      async (shell) => {
        const { status, stderr } = await bench.script(`mkfifo pipes/a pipes/b; exec ${shell} -c "
          sh -c 'exec 3<pipes/a 4>pipes/b' & sh -c 'exec 3<pipes/b 4>pipes/a' & wait"`);
        expect([status, stderr]).toEqual([
          3,
          expect.stringMatching(
            /^ipcfs: deadlock: sh \d+ in open of pipes\/[ab] and sh \d+ in open of pipes\/[ab] wait, and no process of the run is left that could end it\n$/,
          ),
        ]);
      },
    );

    test('one that reads what only it could write, when nobody else is left', async () => {
      const { status, stderr } = await bench.script('exec 3<>pipes/self; read -r x <&3');
      expect([status, stderr]).toEqual([
        3,
        expect.stringMatching(
          /^ipcfs: deadlock: bash \d+ in read of pipes\/self waits, and no process of the run/,
        ),
      ]);
    });

    test('one that keeps its pipe open for those who come is none as long as somebody can come', async () => {
      const worker = `bash -c 'exec 3<>pipes/jobs; read -r job <&3; echo "did $job"'`;
      const { status, stdout, stderr } = await bench.script(
        `${worker} & sleep 1.5; echo it > pipes/jobs; wait`,
      );
      expect([status, stdout, stderr]).toEqual([0, 'did it\n', '']);
    });

    test('an open that waits for somebody who comes late is none', async () => {
      const { status, stdout, stderr } = await bench.script(
        `mkfifo pipes/late; cat pipes/late & sleep 1.5; echo came > pipes/late; wait`,
      );
      expect([status, stdout, stderr]).toEqual([0, 'came\n', '']);
    });

    test('a call that an alarm may end is none', async () => {
      const program = `import os, signal
signal.signal(signal.SIGALRM, lambda *_: print('alarm', flush=True) or os._exit(6))
signal.alarm(2)
os.open('pipes/never', os.O_RDONLY)`;
      const { status, stdout, stderr } = await bench.script(`mkfifo pipes/never; python3 -c "${program}"`);
      expect([status, stdout, stderr]).toEqual([6, 'alarm\n', '']);
    });

    test('a process that waits for an event of a kqueue is none', async () => {
      const { status, stdout, stderr } = await bench.script(
        `exec 3<>kqueue; echo 'add timer 1 data=1500ms oneshot' >&3; read -r x y <&3; echo "$x"`,
      );
      expect([status, stdout, stderr]).toEqual([0, 'timer\n', '']);
    });
  });

  test('--deadlock report prints it once, and the run goes on', async () => {
    const { status, stderr } = await bench.script(`${CYCLE} sleep 2; kill %1 %2; exit 8`, [
      '--deadlock',
      'report',
    ]);
    expect([status, stderr]).toEqual([8, expect.stringMatching(WAIT_FOR_EACH_OTHER)]);
    expect(stderr.match(/^ipcfs:/gm)).toHaveLength(1);
  });

  test('--deadlock off does not look', async () => {
    const { status, stderr } = await bench.script(`${CYCLE} sleep 2; kill %1 %2; exit 8`, [
      '--deadlock',
      'off',
    ]);
    expect([status, stderr]).toEqual([8, '']);
  });

  describe('--timeout', () => {
    test('prints who is blocked on what, and ends with 124', async () => {
      const { status, stdout, stderr } = await bench.script(
        `mkfifo pipes/a; exec 3<>pipes/a; cat <&3 & sleep 100`,
        ['--timeout', '1.5'],
      );
      expect([status, stdout]).toEqual([124, '']);
      expect(stderr).toMatch(
        /^ipcfs: the command has not ended after 1.5 s; blocked calls:\npipes\/a\n {2}cat \d+ +read +\d\.\d s +until data comes, or its writer closes\n(.*\n)*$/,
      );
      expect(stderr).toMatch(/<- bash \d+, not blocked here/);
    });

    test('ends all that descends from the command: who detached himself, ignores SIGTERM or has stopped too', async () => {
      const { status, stdout, stderr } = await bench.script(
        `(setsid bash -c 'trap "" TERM HUP; sleep 100; sleep 100' &); (setsid setsid sleep 100 &)
        bash -c 'kill -STOP $$' & echo begun; sleep 100`,
        ['--timeout', '1'],
      );
      expect([status, stdout]).toEqual([124, 'begun\n']);
      expect(stderr).toBe('ipcfs: the command has not ended after 1 s; blocked calls:\nno call is blocked\n');
      bench.expectNothingLeft();
    });

    test('does nothing to a command that ends in time', async () => {
      expect(await bench.script('exit 4', ['--timeout', '60'])).toMatchObject({ status: 4, stderr: '' });
    });
  });
});
