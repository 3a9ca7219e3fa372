import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { type Running, until } from '../support/process.ts';
import { alice, usedBy } from '../support/users.ts';

const RESOURCE = 'held_bytes';
const ENOMEM = 'Cannot allocate memory';
const PLENTY = 1_000_000;

describeMount('bytes that are kept for a user', () => {
  let mount: TestMount;
  let shell: Running;
  beforeAll(async () => {
    mount = await TestMount.start();
    shell = mount.start('while read -r command; do eval "$command"; echo "done $?"; done', {
      ...alice,
      timeoutMs: 120_000,
    });
  });
  afterAll(() => mount.stop());

  let done = 0;
  /** What alice's shell, which stays, says to a command, and what is kept for her then. */
  async function after(command: string): Promise<number> {
    shell.child.stdin!.write(`${command}\n`);
    done++;
    await until(() => shell.stdout.match(/done \d+$/gm)?.length === done);
    return await usedBy(mount, alice, RESOURCE);
  }
  const lastStatus = (): number => Number(/done (\d+)\n$/.exec(shell.stdout)![1]);

  const line = 'user 1 data=0 flags=- fflags=0 udata=abcdef\n';

  test('[SEC-13] [SEC-14] unfinished lines, tokens, and lines that are read in pieces', async () => {
    expect(await after("exec 3<>kqueue; printf 'add user 1 tri' >&3")).toBe('add user 1 tri'.length);
    expect(await after("echo 'gger udata=abcdef' >&3")).toBe('abcdef'.length);
    expect(await after('dd bs=5 count=1 status=none <&3')).toBe('abcdef'.length + line.length);
    expect(await after("echo 'modify user 1 udata=xyz' >&3; echo 'delete user 1' >&3")).toBe(line.length);
    expect(await after('exec 3>&-')).toBe(0);
    expect(shell.stdout).toContain('user ');
  });

  test('[SEC-13] [SEC-14] paths of registrations, and tokens that change', async () => {
    expect(await after("exec 3<>kqueue; echo 'add vnode pipes' >&3")).toBe('pipes'.length);
    expect(await after("echo 'add vnode pipes udata=abc' >&3")).toBe('pipesabc'.length);
    expect(await after("echo 'add vnode pipes udata=a' >&3")).toBe('pipesa'.length);
    expect(await after('exec 3>&-')).toBe(0);
  });

  test('[SEC-13] [SEC-14] targets of links, and attachments by the control file', async () => {
    expect(await after('ln -s 1234567 pipes/l')).toBe(7);
    expect(await after('rm pipes/l')).toBe(0);
    expect(await after("exec 3<>shm/ctl; echo 'get 0x99 4096 create' >&3; read -r ok id <&3")).toBe(0);
    const attached = await after('echo "attach $id" >&3; read -r ok <&3');
    expect(attached).toBeGreaterThan(0);
    expect(await after('echo "attach $id" >&3; read -r ok <&3')).toBe(2 * attached);
    expect(await after('echo "detach $id" >&3; read -r ok <&3')).toBe(attached);
    expect(await after('exec 3>&-; rm shm/0x99')).toBe(0);
  });

  test('[SEC-13] beyond the quota each of them is ENOMEM, and nothing is lost', async () => {
    await after("exec 3<>kqueue; echo 'add user 1 udata=abcdef' >&3; echo 'modify user 1 trigger' >&3");
    await mount.setSysctl('ipcfs.quota.held_bytes', 'abcdef'.length + line.length - 1);
    const refused = async (command: string): Promise<void> => {
      const before = shell.stderr.length;
      expect(await after(command)).toBe('abcdef'.length);
      expect(lastStatus()).not.toBe(0);
      expect(shell.stderr.slice(before)).toContain(ENOMEM);
    };
    await refused(`ln -s ${'1'.repeat(60)} pipes/l`);
    await refused("printf 'add user 2' >&3");
    await refused("exec 4<>shm/ctl; echo 'stat 1' >&4");
    // The event is not taken by a read that could not keep the rest of its line.
    await refused('dd bs=5 count=1 status=none <&3');
    await mount.setSysctl('ipcfs.quota.held_bytes', PLENTY);
    expect(await after('dd bs=5 count=1 status=none <&3')).toBe('abcdef'.length + line.length);
    await after('exec 3>&- 4>&-');
    expect(await usedBy(mount, alice, RESOURCE)).toBe(0);
  });
});
