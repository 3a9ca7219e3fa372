import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { compileC, compileWithHeaders, whyNoCompiler, whyNoHeaderCompiler } from '../support/c-program.ts';
import { Scratch } from '../support/cli.ts';
import { describeMount, mainProgram, TestMount } from '../support/mount.ts';
import { MountNamespace, type User } from '../support/namespace.ts';
import { type Finished, run, Running } from '../support/process.ts';
import { alice, bob } from '../support/users.ts';

/** The same on every processor. */
const SYS_pidfd_getfd = 438;
const WITHOUT_CALL = fileURLToPath(new URL('../support/programs/without-call.c', import.meta.url));
/** fusermount3 wants a user with a name. */
const nobody: User = { uid: 65534, gid: 65534 };
const noFilters = whyNoCompiler('/usr/include/linux/seccomp.h');
const noHeaders = whyNoHeaderCompiler();

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ipcfs-rights-'));
  chmodSync(folder, 0o755);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe.skipIf(noFilters !== null)(`a container without pidfd_getfd (${noFilters ?? ''})`, () => {
  describeMount('a container without pidfd_getfd', () => {
    let wrapper: [command: string, call: string];
    let mount: TestMount;
    beforeAll(async () => {
      const program = join(folder, 'without-call');
      compileC(readFileSync(WITHOUT_CALL, 'utf8'), program);
      wrapper = [program, String(SYS_pidfd_getfd)];
      mount = await TestMount.start([], { wrapper });
    });
    afterAll(() => mount.stop());

    test('sockets, pipes and terminals are EBADF with the reason; files, and descriptors of the mount, are watched', async () => {
      const file = join(folder, 'file');
      const [refused, ...events] = (
        await mount.output(`mkfifo pipes/a; exec 3<>kqueue 4< <(:) 5<>${file} 6<>pipes/a
          echo 'add read fd:4' >&3; read -r event <&3; echo "$event"
          echo 'add vnode fd:5 write clear' >&3; echo text >&5; read -r event <&3; echo "$event"
          echo 'add read fd:6' >&3; echo text >&6; read -r event <&3; echo "$event"; rm pipes/a`)
      ).split('\n');
      expect(refused).toMatch(
        /^error read fd:4 errno=EBADF udata=- the server may not copy descriptors of process \d+: .*--cap-add SYS_PTRACE/,
      );
      expect(events).toEqual([
        'vnode fd:5 data=0 flags=clear fflags=extend,write udata=-',
        'read fd:6 data=5 flags=- fflags=0 udata=-',
        '',
      ]);
    });

    test('ipcfs doctor says what is missing, and what to do', async () => {
      const [command, call] = wrapper;
      const { stdout } = await run(command, [call, process.execPath, mainProgram, 'doctor']);
      const line = stdout.split('\n').find((text) => text.includes('other descriptors'));
      expect(line).toContain('not watched: pidfd_getfd is missing here');
      expect(line).toContain('--cap-add SYS_PTRACE');
    });
  });
});

describe.skipIf(noHeaders !== null)(`a C program of a user (${noHeaders ?? ''})`, () => {
  describeMount('a C program of a user', () => {
    const scratch = new Scratch();
    let program: string;
    let file: string;
    beforeAll(async () => {
      const { stdout } = await run(process.execPath, [mainProgram, 'cflags']);
      program = join(folder, 'own-descriptors');
      compileWithHeaders('C99', program, ['own-descriptors.c'], stdout.trim().split(' '));
    });
    beforeEach(() => {
      file = join(folder, 'own');
      writeFileSync(file, '');
      chmodSync(file, 0o666);
    });
    afterAll(() => scratch.clean());

    test('has its descriptors watched by a server of root', async () => {
      const mount = await TestMount.start();
      const env = { IPCFS: mount.directory };
      expect(await run(program, [file], { ...alice, env })).toMatchObject({ status: 0, stdout: '' });
      await mount.stop();
    });

    test('has them watched by a server of its own', async () => {
      const namespace = await MountNamespace.startWithDevice(scratch.directory());
      try {
        const directory = scratch.directory(nobody.uid);
        const ipcfs = (command: string): Promise<Finished> =>
          namespace.run(process.execPath, [mainProgram, command, directory], nobody);
        expect(await ipcfs('mount')).toMatchObject({ status: 0, stderr: '' });
        const env = { IPCFS: directory };
        expect(await namespace.run(program, [file], nobody, { env })).toMatchObject({
          status: 0,
          stdout: '',
        });
        expect(await ipcfs('umount')).toMatchObject({ status: 0, stderr: '' });
      } finally {
        await namespace.end();
      }
    });
  });
});

describe.skipIf(noHeaders !== null)(`Yama (${noHeaders ?? ''})`, () => {
  test('kqueue() admits the server where Yama asks for it: one of the same user, and not of root', async () => {
    const program = join(folder, 'admit-server');
    const { stdout } = await run(process.execPath, [mainProgram, 'cflags']);
    compileWithHeaders('C99', program, ['admit-server.c'], stdout.trim().split(' '));
    const played = join(folder, 'played');
    mkdirSync(join(played, 'info'), { recursive: true });
    writeFileSync(join(played, 'kqueue.bin'), '');
    chmodSync(join(played, 'kqueue.bin'), 0o666);
    const server = new Running('sleep', ['60'], alice);
    try {
      writeFileSync(join(played, 'info/version.json'), `[{"version":"1","pid":${server.pid}}]\n`);
      const admitted = async (scope: string, user: typeof alice, pid: number): Promise<void> => {
        const env = { IPCFS: played };
        expect(await run(program, [scope, String(pid)], { ...user, env })).toMatchObject({
          status: 0,
          stdout: '',
        });
      };
      await admitted('1', alice, server.pid);
      // Nobody is admitted where it is not needed, or would not help.
      await admitted('0', alice, 0);
      await admitted('2', alice, 0);
      await admitted('1', bob, 0);
      writeFileSync(join(played, 'info/version.json'), '[{"version":"1","pid":1}]\n');
      await admitted('1', { uid: 0, gid: 0 }, 0);
      await admitted('1', alice, 0);
    } finally {
      server.kill('SIGKILL');
      await server.finished();
    }
  });

  describeMount('the file that tells the pid of the server', () => {
    test('has it where the header looks for it', async () => {
      const mount = await TestMount.start();
      expect(await mount.output('cat info/version.json')).toContain(`"pid":${mount.server.pid}`);
      await mount.stop();
    });
  });
});
