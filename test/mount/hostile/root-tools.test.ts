import { mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readTable } from '../../../src/cli/tables/tables.ts';
import { mountAt } from '../../../src/host/mounts.ts';
import { ipcfs } from '../../support/cli.ts';
import { HostileMount } from '../../support/hostile.ts';
import { describeMount, TestMount } from '../../support/mount.ts';
import { run, Running, until } from '../../support/process.ts';
import { alice } from '../../support/users.ts';

describeMount('what root runs on what a user controls', () => {
  let hostile: HostileMount;
  beforeAll(async () => {
    hostile = await HostileMount.start();
  });
  afterAll(() => hostile.stop());

  /** A mount of alice's at a new directory. */
  async function mountOfAlice(name: string, text: string): Promise<{ directory: string; server: Running }> {
    const directory = join(hostile.scratch, name);
    mkdirSync(directory);
    const program = hostile.program('hanging-file-system');
    const server = new Running(program, [directory, String(alice.uid), text, '0'], { timeoutMs: 60_000 });
    await until(
      () => server.stdout === 'ready\n',
      () => server.stderr,
    );
    return { directory, server };
  }

  test("umount of a user's mount that names another server's process ends that mount, and not that server", async () => {
    const row = { name: 'ipcfs', version: '1', pid: hostile.serverPid };
    const { directory, server } = await mountOfAlice('liar', JSON.stringify([row]));
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0, stderr: '' });
    await server.finished();
    expect(mountAt(directory)).toBe(null);
    expect(await hostile.mount.output('cat info/version')).toContain(String(hostile.serverPid));
  }, 60_000);

  test('umount of a mount whose server holds every call ends it, and the calls', async () => {
    const { directory, server } = await mountOfAlice('silent', '');
    const reader = new Running('cat', [join(directory, 'f')]);
    await until(() => hostile.mount.output(`ps -o wchan= -p ${reader.pid} | grep request_wait || true`));
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0, stderr: '' });
    expect((await reader.finished()).stderr).not.toBe('');
    await server.finished();
    expect(mountAt(directory)).toBe(null);
  }, 60_000);

  test('mount on and in a mount whose server holds every call says what to do, and ends', async () => {
    const { directory, server } = await mountOfAlice('held', 'hold');
    for (const [path, advice] of [
      [directory, `already an ipcfs mount: run 'ipcfs umount ${directory}' first`],
      [join(directory, 'below'), `which does not answer: run 'ipcfs umount ${directory}' first`],
    ] as const) {
      const { status, stderr } = await ipcfs(['mount', path], { timeoutMs: 30_000 });
      expect([path, status, stderr.trim().split('\n')]).toEqual([path, 1, [expect.stringContaining(advice)]]);
    }
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0, stderr: '' });
    await server.finished();
  }, 90_000);

  test('a table without an end is one line that says so', async () => {
    const path = join(hostile.scratch, 'endless');
    mkdirSync(join(path, 'info'), { recursive: true });
    symlinkSync('/dev/zero', join(path, 'info/pipes.json'));
    await expect(readTable({ path, directory: 'DIR' }, 'pipes', 60_000)).rejects.toThrow(
      /^DIR\/info\/pipes.json is longer than the 64 MiB that this command reads: [^\n]*$/,
    );
  }, 90_000);

  test('a folder above a mount is renamed, and a link to another mount put there: the server ends its own mount', async () => {
    const folder = join(hostile.scratch, 'folder');
    mkdirSync(folder);
    const mount = await TestMount.start([], { directory: join(folder, 'mnt') });
    renameSync(folder, `${folder}-moved`);
    mkdirSync(folder);
    symlinkSync(hostile.mount.directory, join(folder, 'mnt'));
    mount.server.child.kill('SIGTERM');
    expect((await mount.server.finished()).status).toBe(0);
    expect(mountAt(join(`${folder}-moved`, 'mnt'))).toBe(null);
    expect(mountAt(hostile.mount.directory)).not.toBe(null);
  }, 60_000);

  test('a mount that has got the number of one that was taken away from its server stays', async () => {
    const first = await TestMount.start();
    const { id, deviceMinor } = mountAt(first.directory)!;
    const pid = Number((await first.table('version'))[0]!['pid']);
    process.kill(pid, 'SIGSTOP');
    await run('umount', ['-l', first.directory]);
    const second = await TestMount.start();
    try {
      expect(mountAt(second.directory)).toMatchObject({ id, deviceMinor });
      process.kill(pid, 'SIGCONT');
      await first.server.finished();
      expect(mountAt(second.directory)).toMatchObject({ id });
    } finally {
      await second.stop();
    }
  }, 60_000);

  test('completion offers no name that could end the quotes and begin a command', async () => {
    const names = [
      "a';id>pwned;'",
      'b$(id)',
      'c`id`',
      'd"e',
      'f\\g',
      'h;i',
      'j&k',
      'l|m',
      'n>o',
      '~p',
      'q!r',
      's\nt',
    ];
    const quoted = names.map(
      (name) => `$'${name.replaceAll(/[\\']/g, String.raw`\$&`).replaceAll('\n', String.raw`\n`)}'`,
    );
    await hostile.mount.output(
      `mkdir -m 777 pipes/names; cd pipes/names; mkfifo plain.name ${quoted.join(' ')}`,
      alice,
    );
    const line = `ipcfs wait ${hostile.mount.directory} 'add read pipes/names/`;
    const { stdout } = await ipcfs(['__complete', 'bash', '--', line, "'add read pipes/names/"]);
    expect(
      stdout
        .split('\n')
        .filter((word) => word.includes('names/') || /^[st]$/.test(word))
        .sort(),
    ).toEqual(['s', 't', 'plain.name'].map((name) => `add read pipes/names/${name}`).sort());
  });

  test('links in the tree lead nowhere outside it for the server, whoever asks', async () => {
    await hostile.attack(
      'ln -s /etc/passwd pipes/out; ln -s ../../../../etc/passwd pipes/up; ln -s /pipes/victim pipes/in',
    );
    for (const path of ['pipes/out', 'pipes/up', 'info/content/pipes/out', 'pipes/out/../../etc/passwd']) {
      const { stdout } = await hostile.mount.sh(
        `exec 3<>kqueue; echo 'add vnode ${path} write receipt' >&3; read -r answer <&3; echo "$answer"`,
      );
      expect([path, stdout]).toEqual([path, expect.stringMatching(/errno=(ENOENT|ENOTDIR)/)]);
    }
    const denied = `exec 3<>kqueue; echo "add read pipes/in/pipe receipt" >&3; read -r answer <&3; echo "$answer"`;
    expect((await hostile.attack(denied)).stdout).toContain('errno=EACCES');
    expect((await hostile.mount.sh('cat info/content/pipes/out')).status).not.toBe(0);
    expect((await ipcfs(['status', hostile.mount.directory])).status).toBe(0);
  }, 90_000);
});
