import { createServer, type Server, type Socket } from 'node:net';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

/** Sockets that one process adds and closes; IPCFS_SOCKETS=3000 for the whole proof. */
const SOCKETS = Number(process.env['IPCFS_SOCKETS'] ?? 300);

/** Reads the next event from descriptor 3, or says that none came. */
const NEXT = `next() { timeout "\${1:-10}" dd bs=4096 count=1 status=none <&3 || echo nothing; }\n`;

describeMount('descriptors outside of the mount', () => {
  let mount: TestMount;
  let scratch: string;
  let server: Server;
  let peers: Socket[];
  let port: number;
  beforeAll(async () => {
    mount = await TestMount.start();
    scratch = mkdtempSync(join(tmpdir(), 'ipcfs-foreign-'));
    server = createServer({ allowHalfOpen: true }, (peer) => {
      peer.on('error', () => undefined);
      peers.push(peer);
    });
    peers = [];
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as { port: number }).port;
  });
  afterAll(async () => {
    for (const peer of peers) peer.destroy();
    server.close();
    rmSync(scratch, { recursive: true });
    await mount.stop();
  });

  function python(program: string): string {
    const path = join(scratch, `program-${readdirSync(scratch).length}.py`);
    writeFileSync(path, program);
    return `timeout 60 python3 ${path}`;
  }

  /** Events of a Python program that has a queue `q` (`change`, `events`), and the modules that it needs. */
  const PRELUDE = `
import os, socket, struct, select, sys, time
q = os.open('kqueue', os.O_RDWR)
def change(line): os.write(q, (line + '\\n').encode())
def events(seconds=5):
    os.set_blocking(q, False)
    end = time.monotonic() + seconds
    while True:
        try: return os.read(q, 65536).decode().splitlines()
        except BlockingIOError:
            if time.monotonic() > end: return []
            select.select([q], [], [], 0.05)
def show(*words): print(*words, flush=True)
`;

  test('a shell watches a connection', async () => {
    const running = mount.start(`exec 3<>kqueue 4<>/dev/tcp/127.0.0.1/${port}; echo 'add read fd:4 clear' >&3
      for n in 1 2; do read -r event <&3; echo "$event"; done`);
    await until(() => peers.length === 1);
    const peer = peers.pop()!;
    peer.write('hello');
    await until(
      () => running.stdout !== '',
      () => running.stderr,
    );
    peer.end();
    await running.finished();
    expect(running.stdout).toBe(
      'read fd:4 data=5 flags=clear fflags=0 udata=-\nread fd:4 data=5 flags=clear,eof fflags=0 udata=-\n',
    );
  });

  test('a terminal on descriptor 0 is ready for its lines', async () => {
    const program = python(`
import os, pty, sys
pid, master = pty.fork()
if pid == 0:
    os.execvp('bash', ['bash', '-c', 'stty -echo; exec 3<>kqueue; echo "add read fd:0" >&3; echo ready; read -r event <&3; echo "$event"; read -r line; echo "line=$line"'])
def until(text):
    seen = b''
    while text not in seen: seen += os.read(master, 1000)
    return seen
until(b'ready')
os.write(master, b'typed\\n')
print(until(b'line=typed').decode())
`);
    expect(await mount.output(program)).toContain('read fd:0 data=6 flags=- fflags=0 udata=-');
  });

  test('ipcfs wait watches a file outside of the mount', async () => {
    const path = join(scratch, 'waited');
    const { ipcfsCommand } = await import('../support/cli.ts');
    writeFileSync(path, '');
    const running = mount.start(`${ipcfsCommand} wait . 'add vnode ${path} write clear'`);
    await until(async () => (await mount.table('knotes')).some(({ ident }) => ident === path));
    writeFileSync(path, 'text');
    const { status, stdout } = await running.finished();
    expect([status, stdout]).toEqual([
      0,
      expect.stringMatching(
        new RegExp(`^vnode ${path} data=0 flags=clear fflags=(extend,)?write udata=-\n$`),
      ),
    ]);
  });

  test('a pipe and a FIFO say what is in them, what room there is, and which end is gone', async () => {
    const script = `${NEXT} fifo=${scratch}/fifo; mkfifo $fifo; exec 3<>kqueue 4<>$fifo 5<$fifo 6>$fifo; echo hi >&6
      echo 'add read fd:5 udata=r' >&3; next; echo 'delete read fd:5' >&3
      echo 'add write fd:6 udata=w' >&3; next; echo 'delete write fd:6' >&3
      exec 4>&-; echo 'add read fd:5 udata=r' >&3; exec 6>&-; next; read -r line <&5; next
      exec 6<>$fifo; next 0.2; echo 'delete read fd:5' >&3; exec 5<&- 6>&-
      exec 7> >(exec sleep 100); child=$!; kill $child; wait $child; echo 'add write fd:7 udata=broken' >&3; next`;
    expect((await mount.output(script)).split('\n')).toEqual([
      'read fd:5 data=3 flags=- fflags=0 udata=r',
      'write fd:6 data=65533 flags=- fflags=0 udata=w',
      'read fd:5 data=3 flags=eof fflags=0 udata=r',
      'read fd:5 data=0 flags=eof,nodata fflags=0 udata=r',
      'nothing',
      expect.stringMatching(/^write fd:7 data=\d+ flags=eof fflags=0 udata=broken$/),
      '',
    ]);
  });

  test('errors and ends of connections are told as on a BSD, and left to the program', async () => {
    const program = python(`${PRELUDE}
def tcp():
    listener = socket.create_server(('127.0.0.1', 0)); near = socket.create_connection(listener.getsockname())
    return listener, near, listener.accept()[0]
fresh = socket.socket(); change(f'add read fd:{fresh.fileno()}'); change(f'add write fd:{fresh.fileno()}')
show('fresh', events(0.1)); fresh.close()
listener, near, far = tcp()
n = near.fileno()
change(f'add write fd:{n} oneshot'); show('write', [e.split()[3:] for e in events()])
change(f'add read fd:{n} clear')
far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); far.close()
show('reset', [e.split()[2:] for e in events()], near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
near.close(); show('closed', events(0.1))
waiting = socket.socket(); waiting.setblocking(False)
free = socket.create_server(('127.0.0.1', 0)); address = free.getsockname(); free.close()
refused = waiting.connect_ex(address)
change(f'add write fd:{waiting.fileno()} oneshot')
show('refused', [e.split()[3:5] for e in events()], waiting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
change(f'add read fd:{listener.fileno()} oneshot')
clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
show('backlog', [e.split()[2] for e in events()])
one, two = socket.socketpair(); change(f'add read fd:{one.fileno()} clear'); two.send(b'abcd')
show('local', [e.split()[2:4] for e in events()]); two.close(); show('local', [e.split()[2:4] for e in events()])
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0)); change(f'add read fd:{u.fileno()} clear')
u.sendto(b'12345', u.getsockname()); show('datagram', [e.split()[2:4] for e in events()])
change(f'add read fd:{clients[0].fileno()} fflags=1 data=4 clear'); peer = listener.accept()[0]
peer.send(b'123'); show('below', events(0.2)); peer.send(b'4'); show('enough', [e.split()[2] for e in events()])
change(f'add except fd:{clients[0].fileno()} fflags=2 oneshot'); peer.send(b'!', socket.MSG_OOB)
show('urgent', sorted(e.split()[0] + ' ' + e.split()[4] for e in events() if e.startswith('except')))
`);
    expect((await mount.output(program)).split('\n')).toEqual([
      'fresh []',
      "write [['flags=oneshot', 'fflags=0', 'udata=-']]",
      "reset [['data=0', 'flags=clear,eof,nodata', 'fflags=0x68', 'udata=-']] 104",
      'closed []',
      "refused [['flags=eof,oneshot', 'fflags=0x6f']] 111",
      "backlog ['data=3']",
      "local [['data=4', 'flags=clear']]",
      "local [['data=4', 'flags=clear,eof']]",
      "datagram [['data=5', 'flags=clear']]",
      'below []',
      "enough ['data=4']",
      "urgent ['except fflags=0x2']",
      '',
    ]);
  });

  test('K55: the number that is closed ends the registration, also with a duplicate elsewhere, and may be used anew', async () => {
    const program = python(`${PRELUDE}
one, two = socket.socketpair(); n = one.fileno(); copy = os.dup(n)
change(f'add read fd:{n} udata=old'); two.send(b'x'); show(events())
one.close(); two.send(b'y'); show(events(0.2))
other, far = socket.socketpair(); show(other.fileno() == n)
change(f'delete read fd:{n}'); show(events(0.2))
far.send(b'abc'); change(f'add read fd:{n} udata=new'); show(events())
change(f'add read fd:{copy} udata=copy'); show(sorted(e.split()[-1] for e in events()))
other.close(); far.close(); change(f'add read fd:{n}'); show(events(0.2))
`);
    const [first, ...rest] = (await mount.output(program)).split('\n');
    const n = /fd:(\d+)/.exec(first!)![1]!;
    expect([first, ...rest]).toEqual([
      `['read fd:${n} data=1 flags=- fflags=0 udata=old']`,
      '[]',
      'True',
      `['error read fd:${n} errno=ENOENT udata=-']`,
      `['read fd:${n} data=3 flags=- fflags=0 udata=new']`,
      "['udata=copy', 'udata=new']",
      expect.stringContaining(`error read fd:${n} errno=EBADF udata=- it is not open`),
      '',
    ]);
  });

  test('a command that a shell runs can register a socket of the shell, and ends', async () => {
    const script = `${NEXT} exec 3<>kqueue 4<>/dev/tcp/127.0.0.1/${port}; /bin/echo 'add write fd:4 udata=c oneshot' >&3; next`;
    expect(await mount.output(script)).toMatch(/^write fd:4 data=\d+ flags=oneshot fflags=0 udata=c\n$/);
    for (const peer of peers.splice(0)) peer.destroy();
  });

  test('an eventfd, a timerfd, an inotify and a pidfd are watched; others say why not', async () => {
    const program = python(`${PRELUDE}
import ctypes, signal
libc = ctypes.CDLL(None)
event = libc.eventfd(0, 0); change(f'add read fd:{event} oneshot'); os.write(event, (1).to_bytes(8, 'little')); show(events()[0].split()[2:4])
pid = os.fork()
if pid == 0: time.sleep(0.2); os._exit(0)
p = os.pidfd_open(pid); change(f'add read fd:{p} oneshot'); show(events()[0].split()[2:4])
i = libc.inotify_init(); libc.inotify_add_watch(i, b'${scratch}', 0x100); change(f'add read fd:{i} oneshot')
open('${scratch}/made', 'w').close(); show(events()[0].split()[3])
for fd in (libc.epoll_create(1), libc.signalfd(-1, (ctypes.c_ulong * 16)(), 0), os.open('/dev/null', os.O_RDWR), os.open('/proc/self/status', os.O_RDONLY), os.open('${scratch}', 0o10000000), 999):
    change(f'add read fd:{fd}'); show(events()[0].split(' ', 3)[3])
change('add vnode fd:%d write' % event); show(events()[0].split(' ', 3)[3])
`);
    expect((await mount.output(program)).split('\n')).toEqual([
      "['data=1', 'flags=oneshot']",
      "['data=1', 'flags=oneshot']",
      'flags=oneshot',
      'errno=EOPNOTSUPP udata=- an epoll set can be held by its user: watch its descriptors',
      'errno=EOPNOTSUPP udata=- a signalfd tells each process of its own signals: watch the filter signal',
      'errno=EOPNOTSUPP udata=- a device that is no terminal',
      'errno=EBADF udata=- a file of a file system that is not local (proc)',
      'errno=EBADF udata=- it was opened with O_PATH, which has vnode events only',
      'errno=EBADF udata=- it is not open',
      'errno=EOPNOTSUPP udata=- only files, directories and symbolic links have vnode events',
      '',
    ]);
  });

  test('a descriptor of O_PATH has vnode events: of a file, of a symbolic link itself, of a directory', async () => {
    const program = python(`${PRELUDE}
O_PATH = 0o10000000
where = '${scratch}/named'; os.mkdir(where); open(where + '/file', 'w').close(); os.symlink('file', where + '/link')
def watch(path): change(f'add vnode fd:{os.open(path, O_PATH | os.O_NOFOLLOW)} delete write attrib rename clear')
def notes(): return [e.split()[4] for e in events()]
watch(where + '/file'); os.truncate(where + '/file', 3); show(notes())
os.rename(where + '/file', where + '/other'); show(notes())
watch(where + '/link'); os.utime(where + '/link', (1, 1), follow_symlinks=False); show(notes())
os.unlink(where + '/link'); show(notes())
watch(where); open(where + '/new', 'w').close(); show(notes())
os.unlink(where + '/other'); show(sorted(notes()))
fifo = where + '/fifo'; os.mkfifo(fifo); change(f'add vnode fd:{os.open(fifo, O_PATH)} write'); show(events()[0].split(' ', 3)[3])
`);
    expect((await mount.output(program)).split('\n')).toEqual([
      "['fflags=extend,write']",
      "['fflags=rename']",
      "['fflags=attrib']",
      "['fflags=delete']",
      "['fflags=write']",
      "['fflags=delete', 'fflags=write']",
      'errno=EOPNOTSUPP udata=- only files, directories and symbolic links have vnode events',
      '',
    ]);
  });

  test(`${SOCKETS} sockets that are closed without a word: each peer hears at once, and the server keeps nothing`, async () => {
    const version = await mount.table('version');
    const pid = Number(version[0]!['pid']);
    const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;
    const program = python(`${PRELUDE}
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (2 * ${SOCKETS} + 100, 2 * ${SOCKETS} + 100))
pairs = [socket.socketpair() for _ in range(${SOCKETS})]
for near, far in pairs: change(f'add read fd:{near.fileno()}')
show('added'); sys.stdin.readline()
for near, far in pairs: near.close()
show(sum(far.recv(1, socket.MSG_DONTWAIT) == b'' for near, far in pairs)); sys.stdin.readline()
one, two = socket.socketpair()
for _ in range(${SOCKETS}): change(f'add read fd:{one.fileno()}')
show('swept'); sys.stdin.readline()
`);
    const before = descriptors();
    const running = mount.start(program);
    await until(
      () => running.stdout === 'added\n',
      () => running.stderr,
    );
    expect(descriptors()).toBeLessThan(before + 10);
    running.child.stdin!.write('\n');
    await until(
      () => running.stdout === `added\n${SOCKETS}\n`,
      () => running.stdout + running.stderr,
    );
    running.child.stdin!.write('\n');
    await until(
      () => running.stdout.endsWith('swept\n'),
      () => running.stdout + running.stderr,
    );
    const [row] = (await mount.table('users')).filter(({ resource }) => resource === 'foreign_files');
    expect(Number(row!['used'])).toBe(1);
    running.child.stdin!.write('\n');
    await running.finished();
    await until(() => descriptors() <= before + 10);
  }, 120_000);

  test('binary records have numbers of any descriptor, and their errors', async () => {
    const program = python(`${PRELUDE}
b = os.open('kqueue.bin', os.O_RDWR)
record = struct.Struct('=QhHIqQ')
def add(fd, filter, flags=1, fflags=0, data=0): os.write(b, record.pack(fd, filter, flags, fflags, data, 7))
def take(): return [record.unpack(r) for r in [os.read(b, 32)]]
one, two = socket.socketpair(); two.send(b'abc'); n = one.fileno(); add(n, -1, 0x21); got = take()[0]; show(got[0] == n, got[1:])
add(n, -4, 1, 2); got = take()[0]; show(got[1:5]); add(999, -1); got = take()[0]; show(got[1:5])
`);
    expect((await mount.output(program)).split('\n')).toEqual([
      'True (-1, 33, 0, 3, 7)',
      '(-4, 16384, 2, 95)',
      '(-1, 16384, 0, 9)',
      '',
    ]);
  });

  test('the descriptors of a process that ends are closed', async () => {
    const script = `touch kqueues/ended; exec 3<>kqueues/ended
      bash -c 'exec 5<>kqueues/ended 4<>/dev/tcp/127.0.0.1/${port}; echo "add write fd:4" >&5; read -r event <&3; echo "$event"' >/dev/null
      until [ "$(stat -c %s kqueues/ended)" = 0 ]; do :; done; exec 3>&-; rm kqueues/ended; echo gone`;
    expect(await mount.output(script)).toBe('gone\n');
    for (const peer of peers.splice(0)) peer.destroy();
  });
});
