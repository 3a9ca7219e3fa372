import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ipcfsCommand } from '../support/cli.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import type { Running } from '../support/process.ts';

/** What a stop, a trace and a signal have in common: the call that waits ends with this. */
const INTERRUPTED = /Interrupted system call/;

/** Python and Node start slowly on a busy machine. */
const SLOW_MS = 60_000;

const hasStrace = spawnSync('strace', ['-V']).status === 0;

/** Prints a line of event names for each inotify watch on the arguments, after what the body does. */
const INOTIFY = `
import ctypes, os, select, struct, sys
def heard(paths, body):
    libc = ctypes.CDLL(None)
    queue = libc.inotify_init1(os.O_NONBLOCK)
    watches = [libc.inotify_add_watch(queue, path.encode(), 0xfff) for path in paths]
    body()
    masks = dict.fromkeys(watches, 0)
    while select.select([queue], [], [], 0.3)[0]:
        data = os.read(queue, 4096)
        while data:
            watch, mask, _, length = struct.unpack('iIII', data[:16])
            masks[watch] |= mask
            data = data[16 + length:]
    return [masks[watch] for watch in watches]
`;

/** Each row of "What is different because Linux sees regular files" in deviations.md: what happens, and the way round. */
describeMount('what is different because Linux sees regular files', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  /** A script, once it waits for `wait` on `object`. */
  async function waiting(script: string, object: string, wait: string): Promise<Running> {
    const running = mount.start(script);
    await mount.untilBlocked(object, wait);
    return running;
  }

  /** Stops processes, sees that all of them have stopped, and continues them. */
  async function stopAndContinue(pids: readonly number[]): Promise<void> {
    const all = pids.join(' ');
    await mount.output(`kill -STOP ${all}
      for pid in ${all}; do until grep -q '^State:.T' /proc/$pid/status; do sleep 0.01; done; done
      kill -CONT ${all}`);
  }

  /** Who is blocked on an object. */
  async function blocked(object: string): Promise<number[]> {
    return (await mount.table('waits'))
      .filter((row) => row['object'] === object)
      .map((row) => Number(row['process']));
  }

  async function python(script: string): Promise<string> {
    return mount.output(`python3 - <<'END'\n${script}\nEND`, { timeoutMs: SLOW_MS });
  }

  test('read -t of bash knows no limit: let timeout end a bash that reads one line', async () => {
    const path = await mount.fifo('read-t');
    const timed = (seconds: number) =>
      `timeout ${seconds} bash -c 'read -r line && printf "%s\\n" "$line"' <&3`;
    const stdout = await mount.output(`exec 3<>${path}
      timeout 1.5 bash -c 'read -r -t 0.1 line <&3'; echo "read -t: $?"
      line=$(${timed(0.5)}); echo "$? '$line'"
      printf 'one\\ntwo\\n' >&3
      line=$(${timed(10)}); echo "$? '$line'"
      read -r line <&3; echo "'$line'"`);
    expect(stdout).toBe("read -t: 124\n124 ''\n0 'one'\n'two'\n");
  });

  test(
    'a kernel pipe in front has read -t, test -p, asyncio and Node: < <(exec cat PIPE)',
    async () => {
      const path = await mount.fifo('in-front');
      const stdout = await mount.output(
        `exec 3<>${path} 4< <(exec cat <&3)
      [ -p ${path} ]; echo "the pipe: $?"; [ -p /dev/fd/4 ]; echo "in front: $?"
      read -r -t 0.2 line <&4; echo "$(($? > 128))"
      printf 'one\\ntwo\\n' >&3
      for count in 1 2; do read -r -t 5 line <&4; echo "$line"; done`,
      );
      expect(stdout).toBe('the pipe: 1\nin front: 0\n1\none\ntwo\n');
    },
    SLOW_MS,
  );

  test(
    'asyncio refuses a pipe: add_reader takes it, connect_read_pipe a kernel pipe in front',
    async () => {
      const path = await mount.fifo('asyncio');
      const stdout = await python(`
import asyncio, os, subprocess
async def main():
    loop = asyncio.get_running_loop()
    descriptor = os.open('${path}', os.O_RDWR | os.O_NONBLOCK)
    async def connect(file):
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        return reader
    try:
        await connect(os.fdopen(os.dup(descriptor), 'rb', 0))
    except ValueError as error:
        print(error)
    ready = loop.create_future()
    loop.add_reader(descriptor, lambda: ready.done() or ready.set_result(os.read(descriptor, 100)))
    os.write(descriptor, b'one\\n')
    print(await asyncio.wait_for(ready, 30))
    loop.remove_reader(descriptor)
    front = subprocess.Popen(['cat', '${path}'], stdout=subprocess.PIPE)
    reader = await connect(front.stdout)
    os.write(descriptor, b'two\\n')
    print(await asyncio.wait_for(reader.readline(), 30))
    front.kill()
asyncio.run(main())`);
      expect(stdout).toBe("Pipe transport is for pipes/sockets only.\nb'one\\n'\nb'two\\n'\n");
    },
    SLOW_MS,
  );

  test(
    'a net.Socket of Node refuses a pipe: fs.createReadStream reads it',
    async () => {
      const path = await mount.fifo('node');
      const reader = mount.start(
        `node -e '
      const { constants, createReadStream, openSync } = require("node:fs");
      const fd = openSync("${path}", constants.O_RDWR);
      try { new (require("node:net").Socket)({ fd }); } catch (error) { console.log(error.code); }
      createReadStream("${path}").on("data", (bytes) => { console.log(String(bytes)); process.exit(); });'`,
        { timeoutMs: SLOW_MS },
      );
      await mount.untilBlocked(path, 'piperd');
      await mount.output(`printf one > ${path}`);
      expect((await reader.finished()).stdout).toBe('ERR_INVALID_FD_TYPE\none\n');
    },
    SLOW_MS,
  );

  test('noclobber refuses to overwrite a pipe: >| does not', async () => {
    const path = await mount.fifo('noclobber');
    const { stdout, stderr } = await mount.sh(`exec 3<>${path}; set -C
      echo refused > ${path} || echo "status $?"; echo taken >| ${path}; head -c 6 <&3`);
    expect(stdout).toBe('status 1\ntaken\n');
    expect(stderr).toMatch(/cannot overwrite existing file/);
  });

  test(
    'ulimit -f cuts each write and kills at 0: raise the soft limit, or open a kernel pipe before',
    async () => {
      const path = await mount.fifo('ulimit');
      const stdout = await mount.output(
        `exec 3<>${path}
      (ulimit -f 0; exec bash -c 'echo x >&3'); kill -l $?
      (ulimit -f 1; exec python3 -c 'import os; print(os.write(3, bytes(4096)))'); head -c 1024 <&3 | wc -c
      (ulimit -S -f 0; ulimit -S -f unlimited; echo one >&3)
      (exec 5> >(exec cat >&3); ulimit -f 0; echo two >&5)
      for count in 1 2; do read -r line <&3; echo "$line"; done`,
        { timeoutMs: SLOW_MS },
      );
      expect(stdout).toBe('XFSZ\n1024\n1024\none\ntwo\n');
    },
    SLOW_MS,
  );

  test('tail -f ends when its first writer has left: cat <> PIPE goes on', async () => {
    const path = await mount.fifo('tail');
    const tail = await waiting(`exec tail -f ${path}`, path, 'fifoor');
    await mount.output(`echo first > ${path}`);
    const ended = await tail.finished();
    expect(ended.stdout).toBe('first\n');
    expect(ended.stderr).toMatch(/file truncated/);
    const cat = await waiting(`exec cat <> ${path}`, path, 'piperd');
    for (const line of ['second', 'third']) {
      await mount.output(`echo ${line} > ${path}`);
      await mount.untilBlocked(path, 'piperd');
    }
    cat.kill('SIGKILL');
    expect((await cat.finished()).stdout).toBe('second\nthird\n');
  });

  test(
    'inotify on a pipe hears nothing: on its directory it does, and so does vnode of a kqueue',
    async () => {
      const path = await mount.fifo('inotify');
      const watching = mount.start(`exec ${ipcfsCommand} wait . 'add vnode ${path} attrib' --timeout 30`, {
        timeoutMs: SLOW_MS,
      });
      await mount.output(`until grep -q 'vnode *${path}' info/knotes; do sleep 0.01; done`);
      const stdout = await python(`${INOTIFY}
def body():
    descriptor = os.open('${path}', os.O_RDWR); os.write(descriptor, b'x'); os.chmod('${path}', 0o600)
on_pipe, on_directory = heard(['${path}', 'pipes'], body)
# IN_MODIFY, IN_ATTRIB and IN_OPEN.
print(on_pipe, hex(on_directory & 0x26))`);
      expect(stdout).toBe('0 0x26\n');
      expect((await watching.finished()).stdout).toMatch(/^vnode .*attrib/);
    },
    SLOW_MS,
  );

  test('/proc/PID/fd calls a pipe deleted once it was looked at: its inode number is that of info/pipes', async () => {
    const path = await mount.fifo('deleted');
    const stdout = await mount.output(`exec 3<>${path}; stat ${path} > /dev/null
      readlink /proc/$$/fd/3; stat -L -c %i /proc/$$/fd/3`);
    const { ino } = await mount.pipe(path);
    expect(stdout).toBe(`${mount.path(path)} (deleted)\n${ino}\n`);
  });

  test('SIGSTOP stops a reader at once and ends its call', async () => {
    const path = await mount.fifo('stop');
    const reader = await waiting(`exec 3<>${path}; exec sed -n p <&3`, path, 'piperd');
    await stopAndContinue([reader.pid]);
    const { status, stderr } = await reader.finished();
    expect([status, stderr]).toEqual([4, expect.stringMatching(INTERRUPTED)]);
  });

  test('Ctrl-Z does the same: the shell has its prompt at once', async () => {
    const path = await mount.fifo('ctrl-z');
    const shell = await waiting(
      `set -m; exec 3<>${path}; sed -n p <&3; echo "stopped: $(($? - 128))"; kill -CONT %1; wait %1; echo "ended: $?"`,
      path,
      'piperd',
    );
    const [reader] = await blocked(path);
    await mount.output(`kill -TSTP ${reader!}`);
    const { stdout, stderr } = await shell.finished();
    expect(stdout).toBe('stopped: 20\nended: 4\n');
    expect(stderr).toMatch(INTERRUPTED);
  });

  test('cat in front repeats its read after a stop: cat PIPE | sed', async () => {
    const path = await mount.fifo('stop-cat');
    const writer = await mount.driver();
    const held = await writer.open(path, 'rwn');
    const reader = await waiting(`cat ${path} | sed -n p`, path, 'piperd');
    await stopAndContinue(await blocked(path));
    await mount.untilBlocked(path, 'piperd');
    await writer.write(held, 'hello\n');
    await writer.close(held);
    expect(await reader.finished()).toMatchObject({ status: 0, stdout: 'hello\n', stderr: '' });
  });

  test('a stop ends an open: the shell repeats it, cat < PIPE', async () => {
    const path = await mount.fifo('stop-open');
    const direct = await waiting(`exec cat ${path}`, path, 'fifoor');
    await stopAndContinue([direct.pid]);
    expect((await direct.finished()).stderr).toMatch(INTERRUPTED);
    for (const shell of ['bash', 'sh']) {
      const reader = await waiting(`exec ${shell} -c 'exec cat < ${path}'`, path, 'fifoor');
      await stopAndContinue([reader.pid]);
      await mount.untilBlocked(path, 'fifoor');
      await mount.output(`echo hello > ${path}`);
      expect(await reader.finished()).toMatchObject({ status: 0, stdout: 'hello\n' });
    }
  });

  test('whoever is stopped while it waits can be killed and leaves nothing behind', async () => {
    const path = await mount.fifo('stop-kill');
    for (const wait of ['fifoor', 'piperd']) {
      const open = wait === 'piperd' ? `3<>${path}` : '';
      const reader = await waiting(`exec cat ${open} ${path}`, path, wait);
      await mount.output(`kill -STOP ${reader.pid}
        until grep -q '^State:.T' /proc/${reader.pid}/status; do sleep 0.01; done; kill -KILL ${reader.pid}`);
      expect((await reader.finished()).signal).toBe('SIGKILL');
      expect(await blocked(path)).toEqual([]);
    }
    expect(await mount.pipe(path)).toMatchObject({ readers: 0, writers: 0 });
  });

  test('the ioctl of lsattr opens the pipe once more, so it waits for a writer', async () => {
    const path = await mount.fifo('lsattr');
    const FS_IOC_GETFLAGS = '0x80086601';
    const asking = (file: string) => `exec python3 -c '
import fcntl, os
file = os.open("${file}", os.O_RDONLY | os.O_NONBLOCK)
try: fcntl.ioctl(file, ${FS_IOC_GETFLAGS}, bytes(8))
except OSError as error: print(os.strerror(error.errno))'`;
    const blockedAsker = await waiting(asking(path), path, 'fifoor');
    await mount.output(`exec 3<>${path}`);
    expect((await blockedAsker.finished()).stdout).toBe('Inappropriate ioctl for device\n');
    // With a writer there it is answered at once.
    expect(await mount.output(`exec 3<>${path}; ${asking(path)}`, { timeoutMs: SLOW_MS })).toMatch(
      /^Inappropriate/,
    );
  });

  test.skipIf(!hasStrace)(
    'an attach of strace ends a call: info/waits says without one who waits for what',
    async () => {
      const path = await mount.fifo('strace');
      const reader = await waiting(`exec 3<>${path}; exec sed -n p <&3`, path, 'piperd');
      expect(await mount.table('waits')).toContainEqual(
        expect.objectContaining({ process: reader.pid, command: 'sed', call: 'read', object: path }),
      );
      await mount.sh(`timeout 5 strace -o /dev/null -p ${reader.pid}`);
      expect((await reader.finished()).stderr).toMatch(INTERRUPTED);
      // A program that repeats its calls does not notice.
      const patient = await waiting(`exec 3<>${path}; exec cat <&3`, path, 'piperd');
      const strace = mount.start(`exec strace -o /dev/null -p ${patient.pid}`);
      await mount.output(`until grep -q 'TracerPid:.[1-9]' /proc/${patient.pid}/status; do sleep 0.01; done`);
      await mount.output(
        `exec 3<>${path}; echo hello >&3; until [ "$(stat -c %s ${path})" = 0 ]; do sleep 0.01; done`,
      );
      strace.kill('SIGTERM');
      await strace.finished();
      patient.kill('SIGKILL');
      expect((await patient.finished()).stdout).toBe('hello\n');
    },
  );
});
