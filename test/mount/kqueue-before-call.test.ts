import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

/**
 * `events(queue)`: the records that one read without waiting returns. Each record is ident, filter, flags, fflags, data, udata.
 */
const PRELUDE = `
import os, select, signal, struct, sys
RECORD = struct.Struct('<QhHIqQ')
READ, PROC, SIGNAL, ADD, NOTE_EXIT = -1, -5, -6, 1, 0x80000000
def queue():
    return os.open('kqueue.bin', os.O_RDWR | os.O_NONBLOCK)
def change(queue, ident, filter, flags=ADD, fflags=0):
    os.write(queue, RECORD.pack(ident, filter, flags, fflags, 0, 0))
def events(queue):
    try:
        return [RECORD.unpack(part) for part in iter_parts(os.read(queue, 256))]
    except BlockingIOError:
        return []
def iter_parts(data):
    return [data[at:at + RECORD.size] for at in range(0, len(data), RECORD.size)]
def child():
    # One that exits with 3 when it is told to.
    input, output = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(output)
        os.read(input, 1)
        os._exit(3)
    os.close(input)
    return pid, output
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
`;

describeMount('what happened before a call', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  async function python(script: string): Promise<string> {
    const { status, stdout, stderr } = await mount.sh(`python3 - <<'END'\n${PRELUDE}${script}\nEND`, {
      timeoutMs: 100_000,
    });
    expect([status, stderr]).toEqual([0, '']);
    return stdout;
  }

  test('K111: a signal that was sent before a read without waiting is in it, 1,000 times of 1,000', async () => {
    const stdout = await python(`
queue = queue()
change(queue, signal.SIGUSR1, SIGNAL)
counts = []
for _ in range(1000):
    os.kill(os.getpid(), signal.SIGUSR1)
    counts.append([event[4] for event in events(queue)])
print(len([count for count in counts if count != [1]]), events(queue))`);
    expect(stdout).toBe('0 []\n');
  }, 120_000);

  test('K102, K104: a child that was waited for before a read without waiting is in it, 100 times of 100', async () => {
    const stdout = await python(`
queue, other = queue(), queue()
# While one process is watched, the next one costs less.
change(other, os.getpid(), PROC, fflags=NOTE_EXIT)
missed = 0
for _ in range(100):
    pid, output = child()
    change(queue, pid, PROC, fflags=NOTE_EXIT)
    os.write(output, b'x')
    os.waitpid(pid, 0)
    os.close(output)
    if [(event[0], event[4]) for event in events(queue)] != [(pid, 0x300)]: missed += 1
print(missed, events(queue))`);
    expect(stdout).toBe('0 []\n');
  }, 120_000);

  test('K7: poll, and a read of a queue that watches another, see it too', async () => {
    const stdout = await python(`
inner, outer = queue(), queue()
change(inner, signal.SIGUSR1, SIGNAL)
change(outer, inner, READ)
poll = select.poll()
poll.register(inner, select.POLLIN)
missed = 0
for _ in range(200):
    os.kill(os.getpid(), signal.SIGUSR1)
    if [event[0] for event in events(outer)] != [inner]: missed += 1
    os.kill(os.getpid(), signal.SIGUSR1)
    if poll.poll(0) != [(inner, select.POLLIN)]: missed += 1
    if [event[4] for event in events(inner)] != [2]: missed += 1
print(missed)`);
    expect(stdout).toBe('0\n');
  }, 60_000);

  test('K3: so do stat of a named queue, and the tables', async () => {
    await mount.output('touch kqueues/before');
    const stdout = await python(`
queue = os.open('kqueues/before', os.O_RDWR | os.O_NONBLOCK)
os.write(queue, b'add signal USR1\\n')
missed = 0
for _ in range(200):
    os.kill(os.getpid(), signal.SIGUSR1)
    if os.stat('kqueues/before').st_size != 1: missed += 1
    os.read(queue, 256)
    os.kill(os.getpid(), signal.SIGUSR1)
    if ' pending ' not in open('info/knotes').read(): missed += 1
    os.read(queue, 256)
print(missed)`);
    expect(stdout).toBe('0\n');
  }, 60_000);
});
