import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { type Finished, run } from '../support/process.ts';
import { makeSegment, PAGE, untilNoSegments } from '../support/shm-files.ts';

const scripts = fileURLToPath(new URL('../../scripts/demo/', import.meta.url));
const shmScripts = ['fill-and-read.sh', 'leak-hunt.sh', 'shared-counter.sh'];

describeMount('demonstrations of shared memory', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());
  afterEach(async () => {
    await mount.endDrivers();
    await mount.output('cd shm && rm -f 0x*');
    await untilNoSegments(mount);
  });

  function demo(name: string, ...args: string[]): Promise<Finished> {
    return run('bash', [`${scripts}${name}`, mount.directory, ...args]);
  }

  test('S37, S55: shared-counter.sh counts in two processes, and reads a segment that is removed', async () => {
    expect(await demo('shared-counter.sh', '20')).toMatchObject({
      status: 0,
      stdout: 'two processes counted to 40\nremoved, and who has it open still reads 40\n',
      stderr: '',
    });
    expect(await mount.output('ls pipes')).toBe('');
  });

  test('S16, S17: fill-and-read.sh shows zeros, text in place, and the end of a segment', async () => {
    const { status, stdout, stderr } = await demo('fill-and-read.sh');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('65536 bytes, mode 644\n');
    expect(stdout).toContain('0000016   s   h   a   r   e   d       m   e   m   o   r   y');
    expect(stdout).toContain(
      '0000000   x   x   x   x   x   x   x   x   x   x   x   x   x   x   x   x\n*\n0065536\n',
    );
    expect(stdout.endsWith('\n65536 bytes\n')).toBe(true);
    expect(await mount.output('ls shm')).toBe('ctl\nid\n');
  });

  test('leak-hunt.sh names who created a segment, who maps it and who has it open', async () => {
    const [creator, user] = [await mount.driver(), await mount.driver()];
    await makeSegment(creator, 'shm/0xbad', PAGE);
    await user.map(await user.open('shm/0xbad', 'rw'), PAGE);
    creator.kill();
    await creator.finished();
    const { status, stdout, stderr } = await demo('leak-hunt.sh', '0xbad');
    expect([status, stderr]).toEqual([0, '']);
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(/^segment \d+ key 0x00000bad: 4096 bytes, live, attached 1 times$/);
    expect(lines).toContain(`  created by ${creator.pid} (gone)`);
    expect(stdout).toMatch(new RegExp(`^  mapped by ${user.pid} \\S+$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^  open in ${user.pid} \\S+$`, 'm'));
  });

  test('leak-hunt.sh makes a leak of its own when there is none, and leaves nothing', async () => {
    const { status, stdout, stderr } = await demo('leak-hunt.sh');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/: 1048576 bytes, live, attached 1 times\n {2}created by \d+ \(gone\)\n/);
    expect(stdout).toMatch(/ {2}mapped by nobody\n {2}open in \d+ tail\n$/);
    expect(await mount.output('ls shm')).toBe('ctl\nid\n');
  });

  test('without a mount every script says how it is used, with status 2', async () => {
    expect(readdirSync(scripts)).toEqual(expect.arrayContaining(shmScripts));
    for (const name of shmScripts) {
      const { status, stderr } = await run('bash', [`${scripts}${name}`]);
      expect([name, status, stderr]).toEqual([name, 2, expect.stringMatching(/^usage: .* MOUNT/)]);
    }
  });
});
