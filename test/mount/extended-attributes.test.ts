import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

const nobody = { uid: 65534, gid: 65534 };

/** Prints the result of each call, or the name of its error. */
const calls = `
import errno, os
def attempt(call, *words):
    try:
        result = call(*words)
        print('ok' if result is None else result)
    except OSError as error:
        print('EOPNOTSUPP' if error.errno == errno.EOPNOTSUPP else errno.errorcode[error.errno])
`;

describeMount('extended attributes of pipes', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  /** What a Python program prints, a line a call. */
  async function python(program: string, options = {}): Promise<string[]> {
    const { stdout, stderr } = await mount.sh(`python3 - <<'EOF'\n${calls}${program}\nEOF`, options);
    return (stdout + stderr).trimEnd().split('\n');
  }

  test('getfattr shows the options, setfattr sets and removes them, and ctl agrees', async () => {
    const script = `
      touch pipes/q; echo 'set pipes/q hold lines requeue=off capacity=100000 timeout=2s' > ctl
      getfattr -d pipes/q
      setfattr -n user.ipcfs.overflow -v oldest pipes/q
      setfattr -x user.ipcfs.requeue pipes/q; setfattr -x user.ipcfs.timeout pipes/q
      exec 3<>ctl; echo 'get pipes/q' >&3; cat <&3
      setfattr -n user.ipcfs.records pipes/q; getfattr --only-values -n user.ipcfs.overflow pipes/q; echo
      echo 'get pipes/q' >&3; cat <&3; rm pipes/q`;
    expect(await mount.output(script)).toBe(
      [
        '# file: pipes/q',
        'user.ipcfs.capacity="102400"',
        'user.ipcfs.hold="on"',
        'user.ipcfs.lines="on"',
        'user.ipcfs.requeue="off"',
        'user.ipcfs.timeout="2000ms"',
        '',
        'ok hold lines overflow=oldest capacity=102400',
        'oldest',
        'ok hold records overflow=oldest capacity=102400',
        '',
      ].join('\n'),
    );
  });

  test('a directory has them too, and passes them on', async () => {
    const script = `
      mkdir pipes/d; setfattr -n user.ipcfs.hold -v on pipes/d; setfattr -n user.ipcfs.lines pipes/d
      touch pipes/d/q; echo job > pipes/d/q; getfattr -d pipes/d/q | grep -c on; head -1 pipes/d/q; rm -r pipes/d`;
    expect(await mount.output(script)).toBe('2\njob\n');
  });

  test('what cannot be set says why', async () => {
    await mount.output('touch pipes/e; chmod 666 pipes/e; echo "set pipes/e hold" > ctl');
    const program = `
p = 'pipes/e'
attempt(os.setxattr, p, 'user.ipcfs.overflow', b'never')
attempt(os.setxattr, p, 'user.ipcfs.overflow', b'')
attempt(os.setxattr, p, 'user.ipcfs.hold', b'maybe')
attempt(os.setxattr, p, 'user.ipcfs.fanout', b'on')
attempt(os.setxattr, p, 'user.ipcfs.capacity', b'2G')
attempt(os.setxattr, p, 'user.ipcfs.nothing', b'x')
attempt(os.setxattr, p, 'user.other', b'x')
attempt(os.setxattr, p, 'trusted.other', b'x')
attempt(os.setxattr, p, 'user.ipcfs.hold', b'on', os.XATTR_CREATE)
attempt(os.setxattr, p, 'user.ipcfs.lines', b'on', os.XATTR_REPLACE)
attempt(os.setxattr, p, 'user.ipcfs.lines', b'on', os.XATTR_CREATE)
attempt(os.setxattr, p, 'user.ipcfs.lines', b'on', os.XATTR_REPLACE)
attempt(os.removexattr, p, 'user.ipcfs.overflow')
attempt(os.removexattr, p, 'user.other')
attempt(os.getxattr, p, 'user.ipcfs.overflow')
attempt(os.getxattr, p, 'user.other')
attempt(os.getxattr, p, 'system.posix_acl_access')
attempt(os.getxattr, p, 'user.ipcfs.hold')
attempt(os.setxattr, 'info/pipes', 'user.ipcfs.hold', b'on')
attempt(os.listxattr, 'info/pipes')
attempt(os.listxattr, p)`;
    expect(await python(program)).toEqual([
      ...['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'EOPNOTSUPP', 'EOPNOTSUPP', 'EOPNOTSUPP'],
      ...[
        'EEXIST',
        'ENODATA',
        'ok',
        'ok',
        'ENODATA',
        'EOPNOTSUPP',
        'ENODATA',
        'ENODATA',
        'EOPNOTSUPP',
        "b'on'",
      ],
      ...['EOPNOTSUPP', '[]', "['user.ipcfs.hold', 'user.ipcfs.lines']"],
    ]);
    const others = `
attempt(os.setxattr, 'pipes/e', 'user.ipcfs.overflow', b'oldest')
attempt(os.removexattr, 'pipes/e', 'user.ipcfs.hold')
attempt(os.getxattr, 'pipes/e', 'user.ipcfs.hold')`;
    expect(await python(others, nobody)).toEqual(['EPERM', 'EPERM', "b'on'"]);
    await mount.output('rm pipes/e');
  });

  test('a caller without room learns the size, one with too little gets ERANGE', async () => {
    await mount.output('touch pipes/r; echo "set pipes/r hold overflow=oldest" > ctl');
    const program = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def size(call, *words):
    result = call(*words)
    print(result if result >= 0 else errno.errorcode[ctypes.get_errno()])
buffer = ctypes.create_string_buffer(100)
for room in (0, 5, 6, 100): size(libc.getxattr, b'pipes/r', b'user.ipcfs.overflow', buffer, room)
print(buffer.value)
for room in (0, 35, 36, 100): size(libc.listxattr, b'pipes/r', buffer, room)
print(buffer.raw[:36])`;
    expect(await python(program)).toEqual([
      ...['6', 'ERANGE', '6', '6', "b'oldest'"],
      ...['36', 'ERANGE', '36', '36', "b'user.ipcfs.hold\\x00user.ipcfs.overflow\\x00'"],
    ]);
    await mount.output('rm pipes/r');
  });

  test('a kqueue sees the change as one of attributes, and so does ctime', async () => {
    const script = `
      touch -d 2001-01-01 pipes/n; exec 3<>kqueue; echo 'add vnode pipes/n attrib clear' >&3
      before=$(stat -c %.9Z pipes/n)
      setfattr -n user.ipcfs.hold pipes/n; head -1 <&3; [ "$(stat -c %.9Z pipes/n)" != "$before" ] && echo changed
      rm pipes/n`;
    expect(await mount.output(script)).toBe(
      'vnode pipes/n data=0 flags=clear fflags=attrib udata=-\nchanged\n',
    );
  });

  test('cp, tar and rsync carry the options to another pipe when they are asked to', async () => {
    const script = `
      mkdir pipes/from pipes/to; touch pipes/from/q; echo 'set pipes/from/q hold lines overflow=oldest' > ctl
      show() { getfattr -d "$1" | grep -c user.ipcfs || :; }
      cp --attributes-only --preserve=xattr pipes/from/q pipes/to/cp; show pipes/to/cp
      timeout 10 tar cf - --xattrs -C pipes/from q | timeout 10 tar xf - --xattrs --xattrs-include='*' -C pipes/to; show pipes/to/q
      timeout 10 rsync -X pipes/from/q pipes/to/rsync; show pipes/to/rsync
      stat -c %s pipes/from/q; rm -r pipes/from pipes/to`;
    expect(await mount.output(script)).toBe('3\n3\n3\n0\n');
  });

  /** How often the kernel has asked for an attribute. */
  async function questions(of: TestMount): Promise<number> {
    const text = await of.output(
      `grep -h '^ipcfs_operations_total{operation="\\(get\\|list\\)xattr"}' info/metrics`,
    );
    return text
      .trim()
      .split('\n')
      .reduce((sum, line) => sum + Number(line.split(' ').pop()), 0);
  }

  test.each(['auto', 'cached'])(
    'reads and writes cost no request more, with --shm-backing %s',
    async (backing) => {
      const own = await TestMount.start(['--shm-backing', backing]);
      try {
        await own.output('mkfifo pipes/h; truncate -s 64K shm/0x77');
        const driver = await own.driver();
        const pipe = await driver.open('pipes/h', 'rw');
        const segment = await driver.open('shm/0x77', 'rw');
        const move = async (): Promise<void> => {
          expect((await driver.write(pipe, 'x')).result).toBe(1);
          expect((await driver.read(pipe, 1)).result).toBe(1);
          expect((await driver.write(segment, 'x')).result).toBe(1);
        };
        // The first write through the page cache may ask once.
        await move();
        const before = await questions(own);
        for (let round = 0; round < 20; round++) await move();
        expect((await questions(own)) - before).toBe(0);
      } finally {
        await own.stop();
      }
    },
  );
});
