import { chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isRunning, Scratch } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { MountNamespace } from '../support/namespace.ts';
import { type Finished, until } from '../support/process.ts';

const { resolve } = createRequire(import.meta.url);
const fuseNative = resolve('fuse-native');
const koffi = resolve('koffi');

/** Makes Node say that it is on macOS, whose C library has no function that is Linux's own. */
const DARWIN = `import Module from 'node:module';
Object.defineProperty(process, 'platform', { value: 'darwin' });
const linuxOnly = /\\b(eventfd|mount|umount2|memfd_create|syscall|inotify_\\w+)\\(/;
const load = Module._load;
Module._load = function (name, ...rest) {
  const loaded = load.call(this, name, ...rest);
  if (name !== 'koffi') return loaded;
  const library = loaded.load(null);
  const func = (prototype) => {
    if (linuxOnly.test(prototype)) throw new Error(prototype + ' is not there');
    return library.func(prototype);
  };
  return { ...loaded, errno: loaded.errno, address: loaded.address, load: () => ({ func }) };
};
`;

/** fuse-native as of macOS: what macFUSE's options are called is kept from libfuse of Linux. */
const MACFUSE = `Object.defineProperty(process, 'platform', { value: 'linux' });
const Fuse = require('${fuseNative}');
Object.defineProperty(process, 'platform', { value: 'darwin' });
const own = /^(daemon_timeout=.*|allow_recursion|noappledouble|noapplexattr|nobrowse|volname=.*)$/;
module.exports = class extends Fuse {
  constructor(directory, operations, { fsname, ...options }) {
    const words = fsname.split(',');
    if (!words.includes('daemon_timeout=0')) throw new Error('these are not the options for macOS');
    super(directory, operations, { ...options, fsname: words.filter((word) => !own.test(word)).join(',') });
  }
};
`;

/** Each in a shell's way: what /sbin of macOS has, made from Linux's. */
const MOUNT = (proc: string): string => `#!/bin/sh
exec awk '{ print $1 " on " $2 " (" ($3 ~ /^fuse/ ? "macfuse" : $3) ", local)" }' '${proc}/self/mounts'\n`;
/** umount(8) of Linux does nothing without /proc. With REFUSE it does nothing either, so that who calls it can be told apart. */
const UMOUNT = `#!/bin/sh
[ -z "$REFUSE" ] || exit 1
[ "$1" = -f ] && exec env -u NODE_OPTIONS '${process.execPath}' -e '
  process.exit(-require(process.argv[1]).load(null).func("int umount2(const char*, int)")(process.argv[2], 2))' '${koffi}' "$2"
`;

describeMount("as on macOS: no /proc, no calls that are Linux's own", () => {
  const kept = new Scratch();
  const pids: number[] = [];
  let namespace: MountNamespace;
  let directory: string;
  let environment: string[];
  let temporary: string;
  let module: string;

  beforeAll(async () => {
    const files = kept.directory();
    chmodSync(files, 0o755);
    directory = kept.directory();
    temporary = kept.directory();
    writeFileSync(join(files, 'darwin.mjs'), DARWIN);
    writeFileSync(join(files, 'macfuse.cjs'), MACFUSE);
    const device = kept.directory();
    namespace = await MountNamespace.startWithDevice(
      device,
      `mkdir '${device}/real' '${device}/sbin' '${device}/proc'
      mount --bind /usr/sbin '${device}/real'; mount --bind /proc '${device}/proc'
      for program in '${device}'/real/*; do ln -s "$program" '${device}/sbin/'; done
      cat > '${device}/sbin/mount' <<'END'\n${MOUNT(join(device, 'proc'))}END
      cat > '${device}/sbin/umount' <<'END'\n${UMOUNT}END
      chmod 755 '${device}/sbin/mount' '${device}/sbin/umount'
      mount --bind '${device}/sbin' /usr/sbin
      mount -t tmpfs none /proc`,
    );
    environment = [
      `NODE_OPTIONS=--import ${join(files, 'darwin.mjs')}`,
      `TMPDIR=${temporary}`,
      process.execPath,
      mainProgram,
    ];
    module = join(files, 'macfuse.cjs');
  });
  afterAll(async () => {
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    await namespace.end();
    await kept.clean();
  });

  function ipcfs(...args: readonly string[]): Promise<Finished> {
    return namespace.run('env', [...environment, ...args]);
  }

  function sh(script: string): Promise<Finished> {
    return namespace.run('bash', ['-c', `cd '${directory}'; ${script}`]);
  }

  async function mount(): Promise<number> {
    expect(await ipcfs('mount', '--fuse-module', module, directory)).toEqual({
      status: 0,
      signal: null,
      stdout: '',
      stderr: '',
    });
    const [{ pid }] = JSON.parse((await sh('cat info/version.json')).stdout) as [{ pid: number }];
    pids.push(pid);
    return pid;
  }

  test('a mount serves, is shown and found, survives its server, and ends', async () => {
    const first = await mount();
    const script = `awk '$1 == "transport" { print $2 }' info/transport; cat sysctl/kern/ipc/pipe_buf
      mkfifo pipes/a; echo hello > pipes/a & cat pipes/a; wait
      exec 3<>kqueue; echo 'add timer 1 data=10ms oneshot' >&3; read -r event <&3; echo "$event"
      echo 'add proc 1 exit' >&3; read -r event <&3; echo "$event"; exec 3>&-
      truncate -s 64K shm/0x1; echo stored | dd of=shm/0x1 conv=notrunc status=none; head -c 7 shm/0x1; test -L shm && echo beside`;
    expect(await sh(script)).toMatchObject({
      stdout: `fuse-native
512
hello
timer 1 data=1 flags=clear,oneshot fflags=0 udata=-
error proc 1 errno=EOPNOTSUPP udata=-
stored
beside
`,
      stderr: '',
    });
    const reading = sh('exec cat pipes/a');
    await until(async () => (await sh('cat info/waits')).stdout.includes('fifoor'));
    expect((await ipcfs('status', directory)).stdout).toMatch(/pipes\/a/);
    expect(await ipcfs('waits', '--check', directory)).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect((await ipcfs('waits', directory)).stdout).toContain('pipes/a');
    expect((await ipcfs('__complete', 'bash', 'ipcfs umount ')).stdout).toContain(directory);
    expect((await ipcfs('mount', '--fuse-module', module, directory)).stderr).toContain(
      'already an ipcfs mount',
    );
    expect((await ipcfs('umount', temporary)).stderr).toContain("'mount | grep ipcfs' lists");

    process.kill(first, 'SIGKILL');
    await until(() => !isRunning(first));
    await reading;
    const second = await mount();
    expect(readdirSync(temporary)).toHaveLength(1);
    const waiting = sh('exec cat kqueue');
    await until(async () => (await sh('cat info/waits')).stdout.includes('kqread'));
    const startMs = performance.now();
    // It asks the server, which does it.
    expect(await namespace.run('env', ['REFUSE=1', ...environment, 'umount', directory])).toMatchObject({
      status: 0,
      stdout: '',
      stderr: '',
    });
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect((await waiting).signal).toBe(null);
    await until(() => !isRunning(second));
    expect(namespace.isMounted(directory)).toBe(false);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test('raw is refused, and doctor speaks of macFUSE only', async () => {
    expect(await ipcfs('mount', '--transport', 'raw', directory)).toMatchObject({
      status: 1,
      stdout: '',
      stderr: 'ipcfs: --transport raw is for Linux: use --transport fuse-native\n',
    });
    const script = `import { mount } from '${join(dirname(mainProgram), '../index.js')}';
      await mount({ directory: '${directory}' }).catch(({ name, message }) => console.log(name, message));`;
    const library = await namespace.run('env', [
      environment[0]!,
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ]);
    expect(library.stdout).toMatch(/^MountFailure [^\n]* is for Linux[^\n]*\n$/);
    const { stdout, stderr } = await ipcfs('doctor');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^ok {6}system +macOS/m);
    expect(stdout).not.toMatch(/fusermount|modprobe|CAP_|\/dev\/fuse/);
  });
});
