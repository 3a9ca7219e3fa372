import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LinuxProcessEvents } from '../../src/host/linux/events/process-events.ts';
import { PollSet } from '../../src/host/linux/io/poll-set.ts';
import type * as Libc from '../../src/host/linux/libc.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import { EAGAIN } from '../../src/kern/errno.ts';
import { ProcessEventKind, type ProcessWatcher } from '../../src/kern/process-events.ts';

/** The moment between the return of a parent's waitpid and what the connector is told of the end. */
const moment = vi.hoisted(() => ({ isNow: false, waits: 0, tellsStatus: false }));

vi.mock('../../src/host/linux/libc.ts', async (importOriginal) => {
  const libc = await importOriginal<typeof Libc>();
  return {
    ...libc,
    recv: (...parameters: Parameters<typeof libc.recv>) => (moment.isNow ? -1 : libc.recv(...parameters)),
    failure: () => (moment.isNow ? -EAGAIN : libc.failure()),
    poll: (...parameters: Parameters<typeof libc.poll>) => {
      if (moment.isNow && parameters[2] > 0) {
        moment.waits++;
        moment.isNow = false;
      }
      return libc.poll(...parameters);
    },
    // Before Linux 6.15 a pidfd does not know how its process has ended.
    ioctl: (...parameters: Parameters<typeof libc.ioctl>) =>
      moment.tellsStatus ? libc.ioctl(...parameters) : -1,
  };
});

const { Exit, Fork } = ProcessEventKind;
const sources = new PollSet([]);
const events = new LinuxProcessEvents(sources);
let parent: ChildProcess | null = null;
let child = 0;
let lines: string[];
const watcher: ProcessWatcher = {
  forked: () => lines.push('fork'),
  executed: () => lines.push('exec'),
  exited: (status) => lines.push(`exit ${status}`),
  signalled: (signal) => lines.push(`signal ${signal}`),
};

async function nextLine(): Promise<string> {
  const [line] = (await once(parent!.stdout!, 'data')) as [Buffer];
  return String(line).trim();
}

/** A shell says which process is its child, and when it has waited for it. */
beforeEach(async () => {
  Object.assign(moment, { isNow: false, waits: 0, tellsStatus: false });
  lines = [];
  const script = '(read -r; (true); exit 3) <&0 & echo $!; wait; echo waited; read -r';
  // Of a shell in a shell: the outermost would take a socket as its input for a remote login, and read ~/.bashrc.
  const env = { ...process.env, SHLVL: '1' };
  parent = spawn('bash', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'], env });
  child = Number(await nextLine());
});

afterEach(() => {
  parent?.kill('SIGKILL');
  events.close();
  expect(sources.size).toBe(0);
});

async function endChild(): Promise<void> {
  const waited = nextLine();
  parent!.stdin!.write('\n');
  expect(await waited).toBe('waited');
}

test.skipIf(process.getuid!() !== 0)(
  'K104: where only the connector knows the status of a process that was waited for, its word is waited for',
  async () => {
    expect(events.watch(child, Exit | Fork, watcher, rootCredentials)).toBe(0);
    moment.isNow = true;
    await endChild();
    events.catchUp();
    expect(lines).toEqual(['fork', 'exit 768']);
    expect(moment.waits).toBe(1);
  },
);

test.skipIf(process.getuid!() !== 0)(
  'K104: where the pidfd knows it, nobody waits, and the connector’s word that comes later ends nothing twice',
  async () => {
    moment.tellsStatus = true;
    expect(events.watch(child, Exit, watcher, rootCredentials)).toBe(0);
    expect(events.watch(parent!.pid!, Exit, watcher, rootCredentials)).toBe(0);
    moment.isNow = true;
    await endChild();
    events.catchUp();
    expect([lines, moment.waits]).toEqual([['exit 768'], 0]);
    moment.isNow = false;
    events.catchUp();
    expect(lines).toEqual(['exit 768']);
  },
);
