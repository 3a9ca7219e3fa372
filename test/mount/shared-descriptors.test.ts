import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { O_APPEND, O_NONBLOCK, O_TRUNC, O_WRONLY } from '../support/driver-protocol.ts';
import { describeMount, mainProgram, type Row, TestMount } from '../support/mount.ts';
import { run, until } from '../support/process.ts';

/** How descriptor 3 is opened that all writers of a test inherit. The reader never reads. */
const OPENINGS: readonly (readonly [what: string, object: string, script: string])[] = [
  ['a pipe opened by >', 'pipes/s', 'mkfifo pipes/s; exec 7<>pipes/s 3>pipes/s'],
  ['a pipe opened by <>', 'pipes/s', 'mkfifo pipes/s; exec 3<>pipes/s'],
  ['a pipe made by <>', 'pipes/s', 'exec 3<>pipes/s'],
  ['a pipe made by >', 'pipes/s', '(: <pipes/s) 2>/dev/null; exec 3>pipes/s 7<>pipes/s'],
  ['an end of a pair opened by >', 'pairs/s/0', 'mkdir pairs/s; exec 3>pairs/s/0'],
  ['an end of a pair opened by <>', 'pairs/s/0', 'mkdir pairs/s; exec 3<>pairs/s/0'],
];

/** What a writer calls before it writes: some programs look at their output, others do not. */
const PRELUDES = {
  nothing: ':',
  'fstat, twice': 'stat -L - <&3; stat -L - <&3',
  'fstat and fchmod': 'chmod 640 /proc/self/fd/3; stat -L - <&3',
};

const WRITERS = 4;
/** More than a pipe holds, by a program and by the shell itself. */
const WRITE = 'head -c 300000 /dev/zero';
const SHELL_WRITE = 'printf %300000d 0';
const ONE_SECOND_MS = 1000;

const CROWD_PIPES = 20;
const CROWD_WRITERS = 200;
/** The full count takes half an hour: IPCFS_CROWD_ROUNDS=1000. */
const CROWD_ROUNDS = Number(process.env['IPCFS_CROWD_ROUNDS'] ?? 5);

describeMount('processes that share an inherited descriptor', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterEach(async () => {
    await mount.endDrivers();
    await mount.output('rm -f pipes/*; for pair in pairs/*/; do [ ! -d "$pair" ] || rmdir "$pair"; done');
  });
  afterAll(() => mount.stop());

  async function writersOf(object: string): Promise<Row[]> {
    return (await mount.table('waits')).filter((row) => row['object'] === object && row['call'] === 'write');
  }

  /** Starts writers of one descriptor and waits until info/waits shows all of them; their rows. */
  async function startWriters(object: string, opening: string, prelude: string): Promise<Row[]> {
    // Linux lets fchmod wait for a writer that waits, and other writers for the fchmod: all of them look before one writes.
    const each = (script: string): string => `for n in {1..${WRITERS}}; do (${script}) & done; wait`;
    mount.start(`${opening}; ${each(`{ ${prelude}; } >/dev/null`)}; ${each(`exec ${WRITE} >&3`)}`);
    let rows: Row[] = [];
    await until(
      async () => (rows = await writersOf(object)).length === WRITERS,
      () => `${WRITERS} writers of ${object}: ${JSON.stringify(rows)}`,
    );
    return rows;
  }

  const kinds = OPENINGS.flatMap(([what, object, opening]) =>
    Object.entries(PRELUDES).map(([name, prelude]) => [what, name, object, opening, prelude] as const),
  );
  test.each(kinds)(
    'writers of %s, after %s, are shown each and end by SIGKILL, the last one first',
    async (_what, _name, object, opening, prelude) => {
      const rows = await startWriters(object, opening, prelude);
      for (const { process: pid } of rows.reverse()) {
        process.kill(pid as number, 'SIGKILL');
        await until(
          async () => !(await writersOf(object)).some((row) => row['process'] === pid),
          () => `the end of writer ${pid}`,
          ONE_SECOND_MS,
        );
      }
    },
  );

  test('beside a writer that waits, others on its descriptor look, reopen, and write without waiting', async () => {
    mount.start(`exec 3<>pipes/s; ${WRITE} >&3 & exec sleep 60`);
    await mount.untilBlocked('pipes/s', 'pipdwt');
    const [row] = await writersOf('pipes/s');
    const descriptor = `/proc/${row!['process']}/fd/3`;
    expect(await mount.output(`stat -L -c %s - < ${descriptor}`, { timeoutMs: 5000 })).toBe('0\n');
    const driver = await mount.driver();
    const { result: fd } = await driver.call({
      call: 'open',
      path: descriptor,
      flags: O_WRONLY | O_NONBLOCK,
    });
    expect(fd).toBeGreaterThan(0);
    expect((await driver.call({ call: 'write', fd, text: 'x' })).result).toBe(-11);
  });

  test('writers with O_APPEND wait in Linux for the one before them, and ipcfs waits names them', async () => {
    mount.start(`mkfifo pipes/s; exec 7<>pipes/s 3>>pipes/s; ${WRITE} >&3 & ${WRITE} >&3 & wait`);
    await mount.untilBlocked('pipes/s', 'pipdwt');
    const waits = async (): Promise<string> =>
      (await run(process.execPath, [mainProgram, 'waits', mount.directory])).stdout;
    let printed = '';
    await until(
      async () => (printed = await waits()).includes('not shown: head'),
      () => printed,
    );
    const [first, ...others] = await writersOf('pipes/s');
    expect(others).toEqual([]);
    const json = await run(process.execPath, [mainProgram, 'waits', '--json', mount.directory]);
    const { lockWaiters } = JSON.parse(json.stdout) as {
      lockWaiters: { process: number; command: string }[];
    };
    expect(lockWaiters).toMatchObject([{ command: 'head' }]);
    expect(lockWaiters[0]!.process).not.toBe(first!['process']);
    // It ends with the one before it, and has its own request then.
    process.kill(first!['process'] as number, 'SIGKILL');
    await until(async () => (await writersOf('pipes/s'))[0]?.['process'] === lockWaiters[0]!.process);
    expect(await waits()).not.toContain('not shown');
  });

  test('appending is not stopped by a limit of file sizes', async () => {
    const script = `exec 3<>pipes/s; (ulimit -f 1; echo one >> pipes/s; exec 4>>pipes/s; stat -L - <&4 >/dev/null; echo two >&4); head -n 2 <&3`;
    expect(await mount.output(script)).toBe('one\ntwo\n');
  });

  test('an open with O_TRUNC loses nothing', async () => {
    const driver = await mount.driver();
    const reader = await driver.open(await mount.fifo('s'), 'rw');
    await driver.write(reader, 'kept');
    for (const more of [0, O_APPEND]) {
      const flags = O_WRONLY | O_TRUNC | more;
      expect((await driver.call({ call: 'open', path: 'pipes/s', flags })).result).toBeGreaterThan(0);
    }
    expect((await driver.read(reader, 10)).text).toBe('kept');
  });

  test(
    `a crowd of ${CROWD_WRITERS} writers on ${CROWD_PIPES} descriptors, ${CROWD_ROUNDS} times: none survives SIGKILL by a second`,
    { timeout: 60_000 + CROWD_ROUNDS * 20_000 },
    async () => {
      const script = `
        for round in {1..${CROWD_ROUNDS}}; do
          writers=()
          for pipe in {1..${CROWD_PIPES}}; do
            rm -f pipes/$pipe; mkfifo pipes/$pipe; exec {reader}<>pipes/$pipe
            if ((pipe % 2)); then exec {writer}<>pipes/$pipe; else exec {writer}>pipes/$pipe; fi
            for n in {1..${CROWD_WRITERS / CROWD_PIPES}}; do ${SHELL_WRITE} >&$writer & writers+=($!); done
            open+=($reader $writer)
          done
          waiting=()
          until ((\${#waiting[@]} == ${CROWD_WRITERS} + 1)); do mapfile -t waiting < <(grep -v ' outside ' info/waits); done
          start=\${EPOCHREALTIME/./}
          kill -9 "\${writers[@]}"
          wait
          elapsed=$(((\${EPOCHREALTIME/./} - start) / 1000))
          ((elapsed > longest)) && longest=$elapsed
          for fd in "\${open[@]}"; do exec {fd}>&-; done
          open=()
        done 2>/dev/null
        echo $longest`;
      const longestMs = Number(await mount.output(script, { timeoutMs: 30_000 + CROWD_ROUNDS * 20_000 }));
      console.log(`the slowest crowd of ${CROWD_ROUNDS} took ${longestMs} ms to end`);
      expect(longestMs).toBeGreaterThan(0);
      expect(longestMs).toBeLessThan(ONE_SECOND_MS);
    },
  );
});
