import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

describeMount('kqueues from a shell', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  test('K2, K43: the line of the issue works as it stands there', async () => {
    const script = `
      mkfifo pipes/a; exec 4<>pipes/a; echo hello >&4
      exec 3<>kqueue; echo 'add read pipes/a udata=j1' >&3; read -r line <&3; echo "$line"`;
    expect(await mount.output(script)).toBe('read pipes/a data=6 flags=- fflags=0 udata=j1\n');
  });

  test('K24, K43, K88, K76, K113: every filter that needs no process can be waited for', async () => {
    const script = `
      mkfifo pipes/all; exec 3<>kqueue 4<>pipes/all
      ask() { echo "$1" >&3; }
      next() { read -r line <&3; echo "$line"; }
      ask 'add read pipes/all clear'; echo x >&4; next
      ask 'add write pipes/all oneshot udata=room'; next
      ask 'add vnode pipes/all attrib clear'; chmod 600 pipes/all; next
      ask 'add timer 5 data=20ms oneshot'; next
      ask 'add user 1 clear'; ask 'modify user 1 trigger ffcopy=0x12 data=34'; next
      ask 'add except pipes/all'; next
      ask 'add aio 1'; next`;
    expect(await mount.output(script)).toBe(
      [
        'read pipes/all data=2 flags=clear fflags=0 udata=-',
        'write pipes/all data=16382 flags=oneshot fflags=0 udata=room',
        'vnode pipes/all data=0 flags=clear fflags=attrib udata=-',
        'timer 5 data=1 flags=clear,oneshot fflags=0 udata=-',
        'user 1 data=34 flags=clear fflags=0x12 udata=-',
        'error except pipes/all errno=EOPNOTSUPP udata=-',
        'error aio 1 errno=ENXIO udata=-',
        '',
      ].join('\n'),
    );
  });

  test('K24: read waits until something happens', async () => {
    const waiter = mount.start(
      'mkfifo pipes/later; exec 3<>kqueue; echo \'add read pipes/later\' >&3; echo ready; read -r line <&3; echo "$line"',
    );
    await until(() => waiter.stdout === 'ready\n');
    await mount.untilBlocked('kqueue', 'kqread');
    await mount.output('exec 4<>pipes/later; echo now >&4; sleep 0');
    const { stdout } = await waiter.finished();
    expect(stdout).toMatch(/^ready\nread pipes\/later data=[04] flags=(-|eof) fflags=0 udata=-\n$/);
  });

  // bash's own `read -t` has no effect on what it takes for a regular file.
  test('K24, K29: timeout ends a reader that waits', async () => {
    const script = "exec 3<>kqueue; echo 'add user 1' >&3; timeout 0.2 head -n 1 <&3; echo $?";
    expect(await mount.output(script)).toBe('124\n');
  });

  test('K39: unrelated shells share a named queue', async () => {
    await mount.output('touch kqueues/shared');
    const waiter = mount.start('exec 3<>kqueues/shared; read -r line <&3; echo "$line"');
    await mount.untilBlocked('kqueues/shared', 'kqread');
    await mount.output("echo 'add user 7 clear udata=from-another' > kqueues/shared");
    await mount.output("echo 'modify user 7 trigger' > kqueues/shared");
    expect((await waiter.finished()).stdout).toBe('user 7 data=0 flags=clear fflags=0 udata=from-another\n');
    await mount.output('rm kqueues/shared');
  });

  test('K74: several shells read one named queue, byte by byte, and each event comes once and whole', async () => {
    const count = 200;
    await mount.output('touch kqueues/jobs');
    const worker =
      'exec 3<kqueues/jobs; while read -r line <&3; do echo "$line"; [[ $line == *last* ]] && exit; done';
    const workers = Array.from({ length: 4 }, () => mount.start(worker, { timeoutMs: 60_000 }));
    await mount.untilBlocked('kqueues/jobs', 'kqread', 4);
    await mount.output(
      `exec 3>kqueues/jobs; for i in $(seq ${count}); do echo "add user $i oneshot trigger udata=job$i" >&3; done`,
      { timeoutMs: 60_000 },
    );
    await mount.output(
      `exec 3>kqueues/jobs; for i in 1 2 3 4; do echo "add user $((1000 + i)) oneshot trigger udata=last$i" >&3; done`,
    );
    const lines = (await Promise.all(workers.map((running) => running.finished()))).flatMap(({ stdout }) =>
      stdout.trim().split('\n'),
    );
    const expected = Array.from(
      { length: count },
      (_, index) => `user ${index + 1} data=0 flags=oneshot fflags=0 udata=job${index + 1}`,
    );
    expect(lines.filter((line) => line.includes('job')).sort()).toEqual(expected.sort());
    expect(lines).toHaveLength(count + 4);
  });

  test('K8: rm of a named queue leaves it to those who have it open', async () => {
    const script = `
      touch kqueues/removed; exec 3<>kqueues/removed; rm kqueues/removed
      echo 'add user 1 trigger oneshot' >&3; read -r line <&3; echo "$line"; ls kqueues | grep -c removed`;
    expect((await mount.sh(script)).stdout).toBe('user 1 data=0 flags=oneshot fflags=0 udata=-\n0\n');
    expect((await mount.table('kqueues')).filter((row) => row['knotes'] !== 0)).toEqual([]);
  });

  test("K10: a child writes to and reads from its parent's queue, as any open file", async () => {
    const script = `exec 3<>kqueue; (echo 'add user 1 oneshot trigger udata=child' >&3); head -n 1 <&3`;
    expect(await mount.output(script)).toBe('user 1 data=0 flags=oneshot fflags=0 udata=child\n');
  });
});
