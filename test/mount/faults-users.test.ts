import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { EINTR, EIO } from '../../src/kern/errno.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { ControlFile } from '../support/shm-files.ts';
import { alice, asUser, bob, usedBy } from '../support/users.ts';

describeMount('faults and users', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());
  afterEach(() => mount.output("echo 'fault remove all' > ctl; rm -rf pipes/*"));

  test('[SEC-22] only the owner of an object and root break it', async () => {
    await mount.output('umask 0; mkfifo pipes/roots');
    await mount.output('umask 0; mkfifo pipes/alices', alice);
    const asked = await ControlFile.open(mount, alice, 'ctl');
    expect(await asked.ask('fault add pipes/roots any errno=EIO')).toMatch(
      /^error EPERM pipes\/roots belongs to user 0/,
    );
    expect(await asked.ask('fault add ** any errno=EIO')).toMatch(/^ok/);
    const { driver } = await ControlFile.open(mount, bob, 'ctl');
    const roots = await driver.open('pipes/roots', 'rw');
    expect((await driver.write(roots, 'x')).result).toBe(1);
    // In the pipe of alice the fault is hers to make, for everybody.
    expect((await driver.call({ call: 'open', path: 'pipes/alices', flags: 2 })).result).toBe(-EIO);
    expect(await usedBy(mount, alice, 'faults')).toBe(1);
    expect(await usedBy(mount, bob, 'faults')).toBe(0);
  });

  test('[SEC-22] a signal goes only to processes that the user who added the fault may signal', async () => {
    await mount.output('umask 0; mkfifo pipes/q', alice);
    const asked = await ControlFile.open(mount, alice, 'ctl');
    const id = await asked.id('fault add pipes/q read signal=USR1');
    const bobs = await mount.driver(bob);
    const own = await mount.driver(alice);
    const fd = await bobs.open('pipes/q', 'rw');
    await bobs.write(fd, 'ab');
    expect((await bobs.read(fd, 1)).text).toBe('a');
    expect((await own.read(await own.open('pipes/q', 'r'), 1)).result).toBe(-EINTR);
    expect((await mount.table('faults')).find((row) => row['id'] === id)).toMatchObject({
      calls: 2,
      hits: 1,
    });
  });

  test('[SEC-8] a request is carried out with the rights of who opened ctl', async () => {
    await mount.output('mkfifo pipes/roots');
    // The descriptor is alice's, the writer is root.
    const script = asUser(alice, 'exec 3<>ctl; exec 4>&3; sleep 60');
    const holder = mount.start(`exec ${script}`);
    await expect
      .poll(async () => (await mount.sh(`ls -l /proc/${holder.pid}/fd/4`)).stdout, { timeout: 10_000 })
      .toContain('/ctl');
    const answer = await mount.output(
      `python3 -c '
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
pidfd = os.pidfd_open(${holder.pid})
fd = libc.syscall(438, pidfd, 4, 0)
os.write(fd, b"fault add pipes/roots any eof\\n")
print(os.read(fd, 200).decode())'`,
    );
    expect(answer).toMatch(/^error EPERM pipes\/roots belongs to user 0/);
  });
});

describeMount('a fault with a seed', () => {
  test('hits the same calls in two mounts', async () => {
    const results = await Promise.all(
      [0, 1].map(async () => {
        const mount = await TestMount.start();
        const pattern = await mount.output(`exec python3 -c '
import os
fd = os.open("pipes/q", os.O_RDWR | os.O_CREAT)
ctl = os.open("ctl", os.O_RDWR)
os.write(ctl, b"fault add pipes/q write errno=EIO p=0.3 seed=5\\n")
def attempt():
    try: os.write(fd, b"x")
    except OSError: return "!"
    return "."
print("".join(attempt() for _ in range(300)))'`);
        const [row] = await mount.table('faults');
        await mount.stop();
        return [pattern, row!['calls'], row!['hits']] as const;
      }),
    );
    expect(results[0]).toEqual(results[1]);
    const [pattern, calls, hits] = results[0]!;
    expect(calls).toBe(300);
    expect(hits).toBe(pattern.replaceAll(/[^!]/g, '').length);
    expect(hits).toBeGreaterThan(50);
    expect(hits).toBeLessThan(150);
  });
});
