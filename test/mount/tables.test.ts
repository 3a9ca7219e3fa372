import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UnansweredFailure } from '../../src/cli/failures.ts';
import { explain, type MountPoint, mountPoint } from '../../src/cli/tables/mount-calls.ts';
import { readTable, type Tables } from '../../src/cli/tables/tables.ts';
import { Scratch } from '../support/cli.ts';
import { describeMount } from '../support/mount.ts';
import { run, until } from '../support/process.ts';

describeMount('tables as the commands read them', () => {
  let directory: string;
  let server: number;
  let mount: MountPoint;
  const scratch = new Scratch();
  beforeEach(async () => {
    directory = scratch.directory();
    server = await scratch.mount(directory);
    mount = mountPoint(directory);
  });
  afterEach(() => scratch.clean());

  test('every table that info/ has can be read, and has the columns of its text', async () => {
    const script = `cd '${directory}'; mkfifo pipes/a; truncate -s 1 shm/1; exec 3<>kqueue 4<>pipes/b 5<>ctl; flock 4
      echo 'fault add pipes/never read eof' >&5
      echo 'add user 1' >&3; cat <&3`;
    scratch.start('bash', ['-c', script]);
    await until(async () => (await readTable(mount, 'waits')).some(({ wait }) => wait === 'kqread'));
    const { stdout } = await run('ls', [join(directory, 'info')]);
    const names = stdout.split('\n').flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -5)] : []));
    expect(names).toEqual(
      expect.arrayContaining([
        'handles',
        'knotes',
        'kqueues',
        'pipes',
        'shm',
        'transport',
        'version',
        'waits',
      ]),
    );
    // The text of metrics is Prometheus' and no table, and a trace has no end.
    for (const name of names.filter((candidate) => candidate !== 'metrics' && candidate !== 'trace')) {
      const rows = await readTable(mount, name as keyof Tables);
      const text = await run('head', ['-1', join(directory, 'info', name)]);
      expect([name, rows.length > 0]).toEqual([name, true]);
      expect(Object.keys(rows[0]!)).toEqual(text.stdout.trim().split(/ +/));
    }
  });

  test('a table of many rows is read to its end', async () => {
    await run('bash', ['-c', `cd '${directory}/pipes'; seq 3000 | xargs mkfifo`]);
    const rows = await readTable(mount, 'pipes');
    expect(new Set(rows.map((row) => row.path)).size).toBe(3000);
  });

  test('a server that hangs is given up on, and the next answer counts again', async () => {
    process.kill(server, 'SIGSTOP');
    try {
      const reading = readTable(mount, 'version', 200);
      await expect(reading).rejects.toThrow(
        `${directory} does not answer: 'ipcfs umount ${directory}' ends it`,
      );
      await expect(reading).rejects.toBeInstanceOf(UnansweredFailure);
    } finally {
      process.kill(server, 'SIGCONT');
    }
    expect(await readTable(mount, 'version')).toMatchObject([{ pid: server }]);
  });

  test('a server that was killed', async () => {
    process.kill(server, 'SIGKILL');
    await expect(readTable(mount, 'version')).rejects.toThrow(
      `the mount on ${directory} has ended: mount it again`,
    );
  });

  test('no mount, no directory, a mount that lacks the table', async () => {
    const none = join(directory, 'pipes', 'none');
    expect(() => mountPoint(none)).toThrow(`${none} does not exist`);
    expect(() => mountPoint(scratch.directory())).toThrow('is no ipcfs mount');
    await expect(readTable(mount, 'unknown' as 'version')).rejects.toThrow(
      'info/unknown.json does not exist: another version of ipcfs serves the mount',
    );
  });

  test('somebody whom the kernel does not let in', () => {
    const refused = Object.assign(new Error(), { code: 'EACCES' });
    expect(explain(refused, mount, 'info/pipes.json')).toMatchObject({
      name: 'CommandFailure',
      message: `you may not use ${directory}: only its owner may, unless it was mounted with --allow-other`,
    });
  });
});
