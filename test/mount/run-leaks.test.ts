import { afterAll, afterEach, expect, test } from 'vitest';
import { describeMount } from '../support/mount.ts';
import { RunBench } from '../support/run-bench.ts';

describeMount('ipcfs run --leaks', () => {
  const bench = new RunBench();
  afterEach(() => {
    bench.expectNothingLeft();
  });
  afterAll(() => {
    bench.clean();
  });

  test('passes for a command that has taken everything away', async () => {
    const script = `mkfifo pipes/a; mkdir pairs/p; touch kqueues/q; truncate -s 4096 shm/0x12
      exec 3<>pipes/a 4<>kqueue; echo x >&3; read -r x <&3; sleep 0.1 < pipes/a & wait
      exec 3>&- 4>&-; rm pipes/a kqueues/q shm/0x12; rmdir pairs/p; exit 9`;
    expect(await bench.script(script, ['--leaks'])).toMatchObject({ status: 9, stdout: '', stderr: '' });
  });

  test.each([
    ['a pipe', 'mkfifo pipes/a', 'pipes/a not removed'],
    ['a pipe with a blank in its name', 'mkfifo "pipes/a b"', 'pipes/a\\040b not removed'],
    ['a directory', 'mkdir pipes/d', 'pipes/d not removed'],
    ['a symbolic link', 'ln -s nowhere pipes/l', 'pipes/l not removed'],
    ['a pair', 'mkdir pairs/p', 'pairs/p not removed'],
    ['a kqueue', 'touch kqueues/q', 'kqueues/q not removed'],
    ['a segment', 'truncate -s 8K shm/0x12', 'segment 0x00000012 of 8192 bytes not removed'],
    [
      'a segment without a key',
      'exec 3<>shm/ctl; echo "get private 4K create linger" >&3; read -r ok id <&3',
      'segment id/65536 of 4096 bytes not removed',
    ],
  ])('fails with 4 for %s', async (_, script, leak) => {
    expect(await bench.script(script, ['--leaks'])).toMatchObject({
      status: 4,
      stdout: '',
      stderr: `ipcfs: leak: ${leak}\n`,
    });
  });

  test('fails for bytes that nobody has read, also when the last close has dropped them', async () => {
    const { status, stderr } = await bench.script(
      `exec 3<>pipes/a; printf 123456 >&3; head -c 2 <&3 > /dev/null; exec 3>&-; exec 3<>pipes/b; printf 1 >&3
       setsid sleep 100 &`,
      ['--leaks'],
    );
    expect(status).toBe(4);
    expect(stderr).toContain('ipcfs: leak: 4 bytes of pipes/a not read\n');
    expect(stderr).toContain('ipcfs: leak: 1 byte of pipes/b not read\n');
  });

  test('fails for a descriptor that a process has open which the command has left', async () => {
    const { status, stderr } = await bench.script(
      `mkfifo pipes/a; setsid python3 -c 'import os, time; f = os.open("pipes/a", os.O_RDWR); os.mkdir("pipes/ready"); time.sleep(100)' &
       until [ -e pipes/ready ]; do sleep 0.05; done; rmdir pipes/ready; rm pipes/a`,
      ['--leaks'],
    );
    expect([status, stderr]).toEqual([
      4,
      expect.stringMatching(/^ipcfs: leak: \(removed\) open \(rw\), opened by python3 \d+\n$/),
    ]);
  });

  test('says what the command itself ended with', async () => {
    expect(await bench.script('mkfifo pipes/a; exit 7', ['--leaks'])).toMatchObject({
      status: 4,
      stderr: 'ipcfs: leak: pipes/a not removed\nipcfs: the command itself ended with 7\n',
    });
  });

  test('does not hide that the run was ended before', async () => {
    const { status, stderr } = await bench.script('mkfifo pipes/a; sleep 100', ['--leaks', '--timeout', '1']);
    expect([status, stderr]).toEqual([124, expect.not.stringContaining('leak')]);
  });
});
