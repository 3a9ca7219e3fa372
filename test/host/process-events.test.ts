import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import * as libc from '../../src/host/linux/libc.ts';
import { PollSet } from '../../src/host/linux/io/poll-set.ts';
import { LinuxProcessEvents } from '../../src/host/linux/events/process-events.ts';
import { processState } from '../../src/host/linux/processes/processes.ts';
import { openTracefs, type Tracefs } from '../../src/host/linux/events/tracefs.ts';
import { type Credentials, rootCredentials } from '../../src/kern/credentials.ts';
import { EOPNOTSUPP, EPERM, ESRCH } from '../../src/kern/errno.ts';
import { ProcessEventKind, type ProcessWatcher } from '../../src/kern/process-events.ts';
import { until } from '../support/process.ts';

const { Exit, Fork, Exec, Signal } = ProcessEventKind;
const NO_PROCESS = 2 ** 30;
const DEADLINE_MS = 5000;
/** Long enough for what is not to come. */
const QUIET_MS = 50;

const isRoot = process.getuid!() === 0;
const nobody: Credentials = { uid: 65534, gid: 65534, pid: 0 };

const sources = new PollSet([]);
let events = new LinuxProcessEvents(sources);
const started: ChildProcess[] = [];

/** What a watcher heard, in order. */
class Heard implements ProcessWatcher {
  readonly pid: number;
  readonly lines: string[] = [];
  readonly children: Heard[] = [];
  /** Watches children too, of all generations, for these kinds. */
  readonly #childKinds: number;

  constructor(pid: number, childKinds = 0) {
    this.pid = pid;
    this.#childKinds = childKinds;
  }

  get hasEnded(): boolean {
    return this.lines.at(-1)?.startsWith('exit') === true;
  }

  /** This and its descendants. */
  get all(): Heard[] {
    return [this, ...this.children.flatMap((child) => child.all)];
  }

  signals(signal: number): number {
    return this.lines.filter((line) => line === `signal ${signal}`).length;
  }

  forked(child: number): void {
    this.lines.push('fork');
    if (this.#childKinds === 0) return;
    const heard = new Heard(child, this.#childKinds);
    this.children.push(heard);
    expect(events.watch(child, this.#childKinds, heard, nobody)).toBe(0);
  }

  executed(): void {
    this.lines.push('exec');
  }

  exited(status: number): void {
    this.lines.push(`exit ${status}`);
  }

  signalled(signal: number): void {
    this.lines.push(`signal ${signal}`);
  }
}

/** A shell that runs the script once it is told to. */
function shell(script: string, before = 'true'): ChildProcess & { pid: number } {
  const child = spawn('bash', ['-c', `${before}; echo ready; read; ${script}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // Of a shell in a shell: the outermost would take a socket as its input for a remote login, and read ~/.bashrc.
    env: { ...process.env, SHLVL: '1' },
  });
  child.stdin.on('error', () => undefined);
  started.push(child);
  return child as ChildProcess & { pid: number };
}

async function ready(script: string, before?: string): Promise<ChildProcess & { pid: number }> {
  const child = shell(script, before);
  await once(child.stdout!, 'data');
  return child;
}

function go(child: ChildProcess): void {
  child.stdin!.write('\n');
}

/** The serving loop: sleeps in poll, and calls what is readable. */
function serveUntil(isDone: () => boolean, timeoutMs = DEADLINE_MS): void {
  const deadlineMs = performance.now() + timeoutMs;
  while (!isDone()) {
    if (performance.now() > deadlineMs) throw new Error('it did not come');
    sources.wait(10);
  }
}

function serveQuiet(): void {
  const untilMs = performance.now() + QUIET_MS;
  while (performance.now() < untilMs) sources.wait(1);
}

function watching(child: { pid: number }, kinds: number, childKinds = 0): Heard {
  const heard = new Heard(child.pid, childKinds);
  expect(events.watch(child.pid, kinds, heard, rootCredentials)).toBe(0);
  return heard;
}

function instances(): string[] {
  const tracefs = openTracefs() as Tracefs;
  const names = readdirSync(`${tracefs.path}/instances`);
  tracefs.close();
  return names;
}

/** What this process has open of the kinds that watching takes. */
function openForWatching(): string[] {
  return readdirSync('/proc/self/fd')
    .map((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`);
      } catch {
        return '';
      }
    })
    .filter((target) => /pidfd|trace_pipe/.test(target));
}

function socketCount(): number {
  const sockets = spawnSync('cat', ['/proc/net/netlink'], { encoding: 'utf8' }).stdout.split('\n');
  // Protocol 11 is the connector's; the kernel's own end has port 0, and the first socket of a process its number.
  return sockets.filter((line) => / +11 +(?!0 )\d+ /.test(line)).length;
}

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  events.close();
  expect(sources.size).toBe(0);
  events = new LinuxProcessEvents(sources);
});

describe.skipIf(!isRoot)('the connector', () => {
  test('K104: exit 3 is told as wait status 0x300, once and last', async () => {
    const child = await ready('exit 3');
    const heard = watching(child, Exit);
    go(child);
    serveUntil(() => heard.hasEnded);
    serveQuiet();
    expect(heard.lines).toEqual(['exit 768']);
  });

  test('K104: a killed process ends with the signal', async () => {
    const child = await ready('exit 3');
    const heard = watching(child, Exit);
    child.kill('SIGKILL');
    serveUntil(() => heard.hasEnded);
    expect(heard.lines).toEqual(['exit 9']);
  });

  test('K103: fork and exec, as far as they are asked for; K105: the end in any case', async () => {
    const child = await ready('/bin/true; exec /bin/false');
    const forks = watching(child, Fork);
    const execs = watching(child, Exec);
    const all = watching(child, Fork | Exec | Exit);
    go(child);
    serveUntil(() => forks.hasEnded && execs.hasEnded && all.hasEnded);
    expect(forks.lines).toEqual(['fork', 'exit 256']);
    expect(execs.lines).toEqual(['exec', 'exit 256']);
    expect(all.lines).toEqual(['fork', 'exec', 'exit 256']);
  });

  test('K106: three generations, each with its own end, also of those that are gone before they are told of', async () => {
    const child = await ready("bash -c '(exit 5); (exit 6); exit 4'; exit 3");
    const heard = watching(child, Fork | Exit, Fork | Exec | Exit);
    go(child);
    // Nobody listens meanwhile.
    await once(child, 'exit');
    serveUntil(() => heard.all.every(({ hasEnded }) => hasEnded));
    expect(heard.lines).toEqual(['fork', 'exit 768']);
    const [second] = heard.children;
    expect(second!.lines).toEqual(['exec', 'fork', 'fork', 'exit 1024']);
    expect(second!.children.map(({ lines }) => lines)).toEqual([['exit 1280'], ['exit 1536']]);
  });

  test('many short-lived processes: every one of them, none twice', async () => {
    const child = await ready('for ((i = 0; i < 1000; i++)); do (exit $((i % 7))); done');
    const heard = watching(child, Fork | Exit, Exit);
    go(child);
    serveUntil(() => heard.hasEnded, 20_000);
    expect(heard.children).toHaveLength(1000);
    heard.children.forEach(({ lines }, index) => {
      expect(lines).toEqual([`exit ${(index % 7) * 256}`]);
    });
  });

  test('threads are no processes, and a process ends with its last thread', async () => {
    const script = `
import ctypes, os, sys, threading, time
def last():
    sys.stdin.readline()
    os._exit(7)
print('ready', flush=True)
sys.stdin.readline()
threading.Thread(target=last).start()
ctypes.CDLL(None).pthread_exit(None)`;
    const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    started.push(child);
    await once(child.stdout, 'data');
    const heard = watching({ pid: child.pid! }, Fork | Exec | Exit);
    go(child);
    serveQuiet();
    expect(heard.lines).toEqual([]);
    // One that asks now finds a process whose first thread has ended.
    const late = watching({ pid: child.pid! }, Fork);
    go(child);
    serveUntil(() => heard.hasEnded && late.hasEnded);
    expect(heard.lines).toEqual(['exit 1792']);
    expect(late.lines).toEqual(['exit 1792']);
  });

  test('the threads of a child are no children of its parent', async () => {
    const threads = 'import threading; [threading.Thread(target=print).start() for _ in range(5)]';
    const child = await ready(`python3 -c '${threads}' >/dev/null; exit 1`);
    const heard = watching(child, Fork);
    go(child);
    serveUntil(() => heard.hasEnded);
    expect(heard.lines).toEqual(['fork', 'exit 256']);
  });

  test('K100: a zombie is found by those who ask for its end, which is told at once', async () => {
    // exec: the shell's place is taken by one that does not wait for its child.
    const parent = shell('true', '(sleep 0.2; exit 3) & echo $!; exec sleep 60');
    const [line] = (await once(parent.stdout!, 'data')) as [Buffer];
    const pid = Number(String(line).trim());
    await until(() => processState(pid)?.isZombie === true);
    expect(events.watch(pid, Fork | Exec, new Heard(pid), rootCredentials)).toBe(-ESRCH);
    const heard = watching({ pid }, Exit | Fork);
    expect(heard.lines).toEqual(['exit 768']);
    expect(sources.size).toBe(0);
  });

  test('K100: no such process, a thread, an odd number: ESRCH, and nothing is kept open', () => {
    for (const pid of [NO_PROCESS, 0, -1, 1.5, NaN]) {
      expect(events.watch(pid, Exit, new Heard(pid), rootCredentials)).toBe(-ESRCH);
    }
    const thread = readdirSync('/proc/self/task')
      .map(Number)
      .find((id) => id !== process.pid)!;
    expect(events.watch(thread, Exit, new Heard(thread), rootCredentials)).toBe(-ESRCH);
    expect(sources.size).toBe(0);
  });

  test('K101: any user may watch any process', () => {
    expect(events.watch(1, Exit | Fork | Exec, new Heard(1), nobody)).toBe(0);
  });

  test('what happened before is not told, and kinds can be changed', async () => {
    const child = await ready('/bin/true; echo; read; /bin/true; echo; read; /bin/true; exit 1');
    const other = watching(child, Exit);
    const next = once(child.stdout!, 'data');
    go(child);
    await next;
    const heard = watching(child, Fork);
    const afterwards = once(child.stdout!, 'data');
    go(child);
    await afterwards;
    serveQuiet();
    expect(heard.lines).toEqual(['fork']);
    expect(events.watch(child.pid, Exit, heard, rootCredentials)).toBe(0);
    go(child);
    serveUntil(() => heard.hasEnded && other.hasEnded);
    expect(heard.lines).toEqual(['fork', 'exit 256']);
  });

  test('an ended watch is silent; with the last one the socket goes', async () => {
    const before = socketCount();
    const child = await ready('exit 3');
    const [one, two] = [watching(child, Exit), watching(child, Exit)];
    expect(sources.size).toBe(1);
    expect(socketCount()).toBe(before + 1);
    events.unwatch(child.pid, one);
    expect(sources.size).toBe(1);
    go(child);
    serveUntil(() => two.hasEnded);
    expect(one.lines).toEqual([]);
    expect(sources.size).toBe(0);
    expect(socketCount()).toBe(before);
    expect(openForWatching()).toEqual([]);
  });
});

describe.skipIf(!isRoot)('what happened before a call', () => {
  test('K104: the end of a process whose parent has waited for it, with what it did before', async () => {
    for (let round = 0; round < 5; round++) {
      const parent = await ready('(read; (true); exit 3) <&0 & echo $!; wait; echo waited; read');
      const next = once(parent.stdout!, 'data');
      go(parent);
      const [line] = (await next) as [Buffer];
      // Whoever asks for signals only has no need of it at first.
      const heard = watching({ pid: Number(String(line).trim()) }, round % 2 === 0 ? Exit : Signal);
      expect(events.watch(heard.pid, Fork | Exit, heard, rootCredentials)).toBe(0);
      const waited = once(parent.stdout!, 'data');
      go(parent);
      await waited;
      events.catchUp();
      expect(heard.lines).toEqual(['fork', 'exit 768']);
      expect(openForWatching()).toEqual([]);
    }
  });

  test('K111: every signal, and not those that nobody has sent', async () => {
    const child = await ready('true', "trap '' USR1");
    const heard = watching(child, Signal);
    for (let count = 1; count <= 300; count++) {
      process.kill(child.pid, 'SIGUSR1');
      events.catchUp();
      expect(heard.lines).toHaveLength(count);
    }
  });

  test('where descriptors are scarce a watch takes none, and the connector tells of the end', async () => {
    const ofThis = ['--pid', String(process.pid)];
    const { stdout } = spawnSync('prlimit', [...ofThis, '--nofile', '-o', 'SOFT', '--noheadings'], {
      encoding: 'utf8',
    });
    const child = await ready('exit 3');
    // Started before: with so few descriptors no program can be started any more.
    const restorer = await ready(`prlimit ${ofThis.join(' ')} --nofile=${stdout.trim()}:`);
    const restored = once(restorer, 'exit');
    // The next number is beyond half of so many.
    const limit = Math.floor(readdirSync('/proc/self/fd').length * 1.5);
    expect(spawnSync('prlimit', [...ofThis, `--nofile=${limit}:`]).status).toBe(0);
    let heard: Heard;
    try {
      heard = watching(child, Exit);
      expect(openForWatching()).toEqual([]);
    } finally {
      go(restorer);
      expect(await restored).toEqual([0, null]);
    }
    go(child);
    serveUntil(() => heard.hasEnded);
    expect(heard.lines).toEqual(['exit 768']);
  });
});

describe.skipIf(!isRoot)('signals', () => {
  test('K111: every signal counts, also ignored, blocked and pending ones', async () => {
    const child = await ready('true', "trap '' USR1; trap : USR2");
    const heard = watching(child, Signal);
    for (let count = 0; count < 100; count++) {
      process.kill(child.pid, 'SIGUSR1');
      process.kill(child.pid, 'SIGUSR2');
    }
    serveUntil(() => heard.signals(10) >= 100 && heard.signals(12) >= 100);
    serveQuiet();
    expect(heard.signals(10)).toBe(100);
    expect(heard.signals(12)).toBe(100);
    expect(heard.lines).toHaveLength(200);
  });

  test('[SEC-9] signals are told to who could send them, whoever watches the process already', async () => {
    const child = await ready('true');
    const heard = watching(child, Exit);
    expect(events.watch(child.pid, Exit | Signal, heard, nobody)).toBe(-EPERM);
    expect(events.watch(child.pid, Exit, heard, nobody)).toBe(0);
    expect(events.watch(child.pid, Exit | Signal, heard, rootCredentials)).toBe(0);
    events.unwatch(child.pid, heard);
    expect(events.watch(child.pid, Signal, new Heard(child.pid), nobody)).toBe(-EPERM);
    go(child);
  });

  test('those sent before and to others do not count, and the end comes last', async () => {
    const [child, other] = [await ready('true', "trap '' USR1"), await ready('true', "trap '' USR1")];
    const first = watching(other, Signal);
    process.kill(child.pid, 'SIGUSR1');
    const heard = watching(child, Signal);
    process.kill(other.pid, 'SIGUSR1');
    process.kill(child.pid, 'SIGUSR1');
    child.kill('SIGKILL');
    serveUntil(() => heard.hasEnded && first.signals(10) > 0);
    expect(heard.lines).toEqual(['signal 10', 'signal 9', 'exit 9']);
    expect(first.lines).toEqual(['signal 10']);
  });

  test('a name with a line of its own does not hide a signal; one to a thread is one to its process', async () => {
    const script = `
import signal, sys, threading
open('/proc/self/comm', 'w').write('a pid=1\\n grp=1')
signal.signal(signal.SIGUSR1, lambda *_: None)
thread = threading.Thread(target=sys.stdin.readline)
thread.start()
print('ready', flush=True)
signal.pthread_kill(thread.ident, signal.SIGUSR1) if sys.stdin.readline() else None
thread.join()`;
    const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    started.push(child);
    await once(child.stdout, 'data');
    const heard = watching({ pid: child.pid! }, Signal);
    process.kill(child.pid!, 'SIGUSR1');
    const thread = readdirSync(`/proc/${child.pid!}/task`)
      .map(Number)
      .find((id) => id !== child.pid)!;
    libc.tkill(thread, 10);
    serveUntil(() => heard.signals(10) >= 2);
    expect(heard.lines).toEqual(['signal 10', 'signal 10']);
  });

  test('the instance is there while a signal is asked for, and remains of the dead go', async () => {
    const tracefs = openTracefs() as Tracefs;
    const dead = spawnSync('true').pid;
    mkdirSync(`${tracefs.path}/instances/ipcfs-${dead}`);
    const child = await ready('exit 3');
    const heard = watching(child, Exit);
    expect(instances()).not.toContain(`ipcfs-${process.pid}`);
    expect(events.watch(child.pid, Exit | Signal, heard, rootCredentials)).toBe(0);
    expect(instances()).toContain(`ipcfs-${process.pid}`);
    expect(existsSync(`${tracefs.path}/instances/ipcfs-${dead}`)).toBe(false);
    expect(events.watch(child.pid, Exit, heard, rootCredentials)).toBe(0);
    expect(instances()).not.toContain(`ipcfs-${process.pid}`);
    expect(events.watch(child.pid, Signal, heard, rootCredentials)).toBe(0);
    events.close();
    expect(instances()).not.toContain(`ipcfs-${process.pid}`);
    expect(openForWatching()).toEqual([]);
    tracefs.close();
  });
});

/** In a network namespace of its own and as nobody: no connector, whatever the kernel's version. */
const withoutRights = [
  '-n',
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--inh-caps=-all',
];
const built = resolve(import.meta.dirname, '../../dist/src/host/linux');
const unprivileged = `
import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
const [{ PollSet }, { LinuxProcessEvents }] = await Promise.all([import('${built}/io/poll-set.js'), import('${built}/events/process-events.js')]);
const sources = new PollSet([]);
const events = new LinuxProcessEvents(sources);
const user = { uid: 65534, gid: 65534, pid: 0 };
const found = { exits: [], results: [] };
const watcher = {
  forked() { found.exits.push('fork'); }, executed() { found.exits.push('exec'); }, signalled() { found.exits.push('signal'); },
  exited(status) { found.exits.push(status); },
};
const child = spawn('sh', ['-c', 'read x; (true); exit 3'], { stdio: ['pipe', 'ignore', 'inherit'] });
for (const kinds of [2, 4, 8, 1 | 2, 1 | 8]) found.results.push(events.watch(child.pid, kinds, watcher, user));
found.idle = sources.size;
found.results.push(events.watch(child.pid, 1, watcher, user));
found.results.push(events.watch(child.pid, 1 | 2, watcher, user));
found.watching = sources.size;
child.stdin.write('\\n');
const until = performance.now() + 5000;
while (found.exits.length === 0 && performance.now() < until) sources.wait(10);
// Nobody has waited for it yet: Node does that in its event loop.
const zombie = { exited(status) { found.zombie = status; } };
found.results.push(events.watch(child.pid, 1, zombie, user), events.watch(2 ** 30, 1, watcher, user));
found.left = sources.size;
found.open = readdirSync('/proc/self/fd').filter((name) => {
  try { return readlinkSync('/proc/self/fd/' + name).includes('pidfd'); } catch { return false; }
}).length;
console.log(JSON.stringify(found));
process.exit();
`;

test.skipIf(!isRoot)(
  'without the connector: exits through pidfds; fork, exec and signals are EOPNOTSUPP',
  () => {
    const arguments_ = [...withoutRights, process.execPath, '--input-type=module', '-e', unprivileged];
    const { error, stdout, stderr } = spawnSync('unshare', arguments_, { encoding: 'utf8', cwd: '/' });
    expect([error, stderr]).toEqual([undefined, '']);
    expect(JSON.parse(stdout)).toEqual({
      results: [...Array<number>(5).fill(-EOPNOTSUPP), 0, -EOPNOTSUPP, 0, -ESRCH],
      idle: 0,
      watching: 1,
      exits: [768],
      zombie: 768,
      left: 0,
      open: 0,
    });
  },
);
