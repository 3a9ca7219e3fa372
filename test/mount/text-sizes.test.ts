import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

/** Prints for a file: fstat's size, whether sendfile(2) gives what read(2) gives, stat's size, and lseek(2)'s end. */
const program = `
import os, sys, tempfile
def read(fd):
    parts = iter(lambda: os.read(fd, 65536), b'')
    return b''.join(parts)
def send(fd):
    with tempfile.TemporaryFile() as to:
        at = 0
        while sent := os.sendfile(to.fileno(), fd, at, 1 << 20): at += sent
        return os.pread(to.fileno(), 1 << 24, 0)
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDONLY)
    size, sent, end = os.fstat(fd).st_size, send(fd), os.lseek(fd, 0, os.SEEK_END)
    os.lseek(fd, 0, os.SEEK_SET)
    text = read(fd)
    print(path, sent == text, size == len(text) == end, len(text) > 0, os.stat(path).st_size)
`;

describeMount('programs that ask how long a table is', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
    await mount.output('for name in $(seq 300); do mkfifo pipes/$name; done');
  });
  afterAll(() => mount.stop());

  const python = (source: string, paths: string): Promise<string> =>
    mount.output(`python3 -c "$program" ${paths}`, { env: { program: source } });

  test('an open one has the size of its text, and sendfile sends all of it; its path has size 0', async () => {
    const paths = ['info/pipes', 'info/pipes.json', 'info/metrics', 'sysctl/kern/ipc/pipe_mindirect'];
    const rows = paths.map((path) => `${path} True True True 0\n`);
    expect(await python(program, paths.join(' '))).toBe(rows.join(''));
  });

  test('the bytes of a pipe and the text that never changes too, whose paths have their size', async () => {
    const script = `exec 3<>pipes/1; echo hello >&3; python3 -c "$program" info/content/pipes/1 .gitignore`;
    expect(await mount.output(script, { env: { program } })).toBe(
      'info/content/pipes/1 True True True 6\n.gitignore True True True 2\n',
    );
  });

  test('two that are open at once have each their own, also when one of them is opened through /proc', async () => {
    const two = `${program.slice(0, program.indexOf('for path'))}
first = os.open('info/pipes', os.O_RDONLY)
os.mkfifo('pipes/another'); os.mkfifo('pipes/${'n'.repeat(200)}')
second = os.open('info/pipes', os.O_RDONLY)
again = os.open('/proc/self/fd/%d' % first, os.O_RDONLY)
try: send(again)
except OSError as error: print(error.strerror)
for fd in (first, second, first): print(len(send(fd)) == os.fstat(fd).st_size)
texts = [read(fd) for fd in (first, second, again)]
print(texts[0] == texts[1], texts[1] == texts[2], send(first) == texts[0], send(second) == texts[1])
`;
    expect(await python(two, '')).toBe('Invalid argument\nTrue\nTrue\nTrue\nFalse True True True\n');
  });

  test.each([
    ['tail -n 1', 'tail -n 1 info/metrics', '1\n'],
    ['readFileSync of Node', `node -e 'process.stdout.write(fs.readFileSync("info/pipes"))'`, '301\n'],
    ['cp', 'cp info/pipes "$TMPDIR/copy" && cat "$TMPDIR/copy"', '301\n'],
  ])('%s finds the end', async (_, command, lines) => {
    const script = `TMPDIR=$(mktemp -d); ${command} | wc -l; rm -r "$TMPDIR"`;
    await mount.output(`rm -f pipes/another pipes/nnn*`);
    expect(await mount.output(script)).toBe(lines);
  });
});
