import { afterEach, expect, test } from 'vitest';
import { LinuxHost } from '../../src/host/linux/linux-host.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import type { SignalOwner } from '../../src/kern/host.ts';
import { atOnce } from '../../src/kern/work.ts';
import { Running, until } from '../support/process.ts';

const started: Running[] = [];

afterEach(() => {
  for (const running of started.splice(0)) running.kill('SIGKILL');
});

/** A process, the first of a group of its own, that prints `got` for each SIGIO, and the lines that it is sent. */
async function receiver(): Promise<Running> {
  const script = "trap 'echo got' IO; echo ready; while :; do read -r -t 5 line && echo $line; done";
  const running = new Running('bash', ['-c', script]);
  started.push(running);
  await until(() => running.stdout === 'ready\n');
  return running;
}

/** Sends what has been collected, all of it. */
function flush(host: LinuxHost): void {
  const rest = host.flushSigio();
  if (rest !== null) atOnce(rest);
}

async function after(running: Running, line: string): Promise<string> {
  running.child.stdin!.write(`${line}\n`);
  await until(
    () => running.stdout.endsWith(`${line}\n`),
    () => running.stdout,
  );
  return running.stdout;
}

test('SIGIO that is collected is sent when it is flushed, once to each receiver, by process and by group', async () => {
  const host = new LinuxHost();
  const [one, other] = [await receiver(), await receiver()];
  const owners = [one.pid, -other.pid].map((id) => host.signalOwner(id, rootCredentials) as SignalOwner);
  host.collectSigio();
  for (let times = 0; times < 3; times++) for (const owner of owners) host.postSigio(owner);
  for (const running of [one, other]) expect(await after(running, 'before')).toBe('ready\nbefore\n');
  flush(host);
  for (const running of [one, other]) await until(() => running.stdout.endsWith('got\n'));
  flush(host);
  for (const running of [one, other]) {
    expect(await after(running, 'after')).toBe('ready\nbefore\ngot\nafter\n');
  }
});

test('[SEC-17] SIGIO for very many registrations of one receiver is sent at once', async () => {
  const host = new LinuxHost();
  const running = await receiver();
  host.collectSigio();
  const owner = host.signalOwner(-running.pid, rootCredentials) as SignalOwner;
  const beganMs = performance.now();
  for (let times = 0; times < 20_000; times++) host.postSigio({ ...owner });
  flush(host);
  await until(() => running.stdout.endsWith('got\n'));
  // A look at all processes for each takes a minute or more.
  expect(performance.now() - beganMs).toBeLessThan(5000);
});

test('[SEC-15] SIGIO for a group is sent in steps, one member each, and what is posted meanwhile is sent by the same work', async () => {
  const host = new LinuxHost();
  const script = 'trap : IO; for i in {1..20}; do sleep 60 & done; echo ready; read -r line';
  const group = new Running('bash', ['-c', script]);
  const other = await receiver();
  started.push(group);
  await until(() => group.stdout === 'ready\n');
  const stranger = { uid: 12_345, gid: 12_345, pid: 1 };
  host.collectSigio();
  // Rights are looked for in /proc, which takes long: nobody may be signalled here.
  host.postSigio({
    ...(host.signalOwner(-group.pid, rootCredentials) as SignalOwner),
    credentials: stranger,
  });
  const work = host.flushSigio()!;
  let steps = 0;
  while (work.next().done !== true) {
    if (steps === 5) {
      for (const id of [other.pid, -other.pid]) {
        host.postSigio(host.signalOwner(id, rootCredentials) as SignalOwner);
      }
      // The process gets its own at once; the group is left to the work that goes on.
      expect(host.flushSigio()).toBe(null);
    }
    steps++;
  }
  expect(steps).toBeGreaterThanOrEqual(21);
  await until(() => other.stdout.endsWith('got\n'));
  expect(host.flushSigio()).toBe(null);
});
