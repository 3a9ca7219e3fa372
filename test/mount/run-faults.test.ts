import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Scratch } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { MountNamespace } from '../support/namespace.ts';
import { RunBench } from '../support/run-bench.ts';
import { alice } from '../support/users.ts';

describeMount('ipcfs run --faults', () => {
  const bench = new RunBench();
  const kept = new Scratch();
  afterEach(() => {
    bench.expectNothingLeft();
  });
  afterAll(async () => {
    bench.clean();
    await kept.clean();
  });

  const write = (text: string): void => {
    writeFileSync(join(bench.directory, 'faults.txt'), text);
  };

  test('adds the faults before the command begins', async () => {
    write('# short\npipes/* read short=2\nfault add kqueue open errno=EMFILE count=1\n');
    const script =
      "awk '{ print $3, $4, $5 }' info/faults; exec 3<>pipes/q; printf abcd >&3; dd bs=9 count=1 status=none <&3; exec 4<>kqueue";
    const { status, stdout, stderr } = await bench.script(script, ['--faults', 'faults.txt']);
    expect([status, stdout]).toEqual([
      1,
      'object call action\npipes/* read short=2\nkqueue open errno=EMFILE\nab',
    ]);
    expect(stderr).toMatch(/^bash: [^\n]*kqueue: Too many open files\n$/);
  });

  test('names those that have hit nothing', async () => {
    write('pipes/* read short=2\n\npipes/other write errno=EPIPE\n');
    const { status, stderr } = await bench.script('exec 3<>pipes/q; printf ab >&3; head -c 1 <&3', [
      '--faults',
      'faults.txt',
    ]);
    expect([status, stderr]).toEqual([
      0,
      'ipcfs: faults.txt:3: pipes/other write errno=EPIPE has hit no call\n',
    ]);
  });

  test.each([
    ['pipes/* read short=1\npipes/* raed short=1\n', 'faults.txt:2: unknown call "raed": use '],
    ['** read errno=EDQUOT\n', 'faults.txt:1: read does not fail with EDQUOT: use '],
  ])('of %j, says where it is wrong, and runs nothing', async (text, message) => {
    write(text);
    const ran = join(bench.directory, 'ran');
    const { status, stdout, stderr } = await bench.run(['--faults', 'faults.txt', '--', 'touch', ran]);
    expect([status, stdout, stderr.split('\n').length, existsSync(ran)]).toEqual([1, '', 2, false]);
    expect(stderr.startsWith(`ipcfs: ${message}`)).toBe(true);
  });

  test('says in one line that there is no such file', async () => {
    const { status, stderr } = await bench.run(['--faults', 'none.txt', '--', 'true']);
    expect([status, stderr]).toEqual([1, 'ipcfs: none.txt cannot be read (ENOENT): --faults takes a file\n']);
  });

  test('works with fuse-native, whose trace shows the hits', async () => {
    write('pipes/* read short=1\n');
    const script = `mkfifo pipes/q; exec 3<>info/trace
      printf abcd > pipes/q & dd if=pipes/q bs=9 count=1 status=none; wait; echo
      echo end >&3; awk '$7 == "pipes/q" && ($6 == "read" || $6 == "fault") && $9 != "waits" { print $6, $8, $9 }' <&3`;
    const { status, stdout, stderr } = await bench.script(script, [
      '--faults',
      'faults.txt',
      '--transport',
      'fuse-native',
    ]);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^a\nfault [^\n]*read[^\n]*\nread size=9,offset=0,[^\n]* 1\n$/);
  });
});

describeMount('ipcfs run --faults of a user who may not mount', () => {
  const bench = new RunBench();
  const kept = new Scratch();
  let namespace: MountNamespace;
  beforeAll(async () => {
    namespace = await MountNamespace.startWithDevice(kept.directory());
  });
  afterAll(async () => {
    await namespace.end();
    bench.clean();
    await kept.clean();
  });

  test('adds those of a file that can be read once, in a user namespace, where kqueues, ctl and the trace can be used', async () => {
    const script = String.raw`cd "$IPCFS"; mkfifo pipes/q; exec 3<>pipes/q 4<>kqueue 5<>info/trace 6<>ctl
      echo 'add read pipes/q' >&4; printf abcd >&3; read -r event <&4; echo "$event"
      dd bs=9 count=1 status=none <&3; echo; echo 'fault remove all' >&6; read -r answer <&6; echo "$answer"`;
    const shell = `exec '${process.execPath}' '${mainProgram}' run --faults /dev/stdin -- bash -c "$0" <<< 'pipes/* read short=1'`;
    const { status, stdout, stderr } = await namespace.run(
      'setpriv',
      ['--no-new-privs', '--', 'bash', '-c', shell, script],
      alice,
      { env: bench.env, timeoutMs: 60_000 },
    );
    expect([status, stdout, stderr]).toEqual([
      0,
      'read pipes/q data=4 flags=- fflags=0 udata=-\na\nok 1\n',
      '',
    ]);
    bench.expectNothingLeft();
  });

  test('says which fault the mount refuses, and runs nothing', async () => {
    const shell = `exec '${process.execPath}' '${mainProgram}' run --faults /dev/stdin -- echo ran <<< 'kqueue open errno=EMFILE'`;
    const words = ['--no-new-privs', '--', 'bash', '-c', shell];
    const { status, stdout, stderr } = await namespace.run('setpriv', words, alice, { env: bench.env });
    expect([status, stdout, stderr]).toEqual([
      1,
      '',
      'ipcfs: /dev/stdin:1: kqueue belongs to user 0: only its owner and root may break it\n',
    ]);
    bench.expectNothingLeft();
  });
});
