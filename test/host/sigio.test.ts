import { afterEach, expect, test } from 'vitest';
import { LinuxHost } from '../../src/host/linux/linux-host.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import type { SignalOwner } from '../../src/kern/host.ts';
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
  host.flushSigio();
  for (const running of [one, other]) await until(() => running.stdout.endsWith('got\n'));
  host.flushSigio();
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
  host.flushSigio();
  await until(() => running.stdout.endsWith('got\n'));
  // A look at all processes for each takes a minute or more.
  expect(performance.now() - beganMs).toBeLessThan(5000);
});
