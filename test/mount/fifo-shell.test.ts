import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

const LONG = { timeoutMs: 60_000 };

describeMount('named pipes from a shell', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  test('P125, P126, P133: echo and cat meet in a pipe that mkfifo made', async () => {
    const script = 'mkfifo pipes/a; echo hello > pipes/a & cat pipes/a; wait';
    expect(await mount.output(script)).toBe('hello\n');
  });

  test('echo into a pipe that it makes itself loses nothing', async () => {
    const writer = mount.start('echo made by writing > pipes/made');
    await mount.untilBlocked('pipes/made', 'fifoow');
    expect(await mount.output('cat pipes/made')).toBe('made by writing\n');
    expect((await writer.finished()).status).toBe(0);
  });

  test('a creator that does not block, or that reads too, never waits', async () => {
    const driver = await mount.driver();
    const fd = await driver.open('pipes/created-nonblocking', 'wn', 0o100);
    expect((await driver.write(fd, 'kept while open')).result).toBe(15);
    expect(await mount.output('cat info/pipes.json')).toContain('"path":"pipes/created-nonblocking"');
    await driver.close(fd);
    expect(await mount.output('exec 3<>pipes/created-both; echo both >&3; head -c 5 <&3')).toBe('both\n');
  });

  test('P33, P37, P57, P69: seq arrives as it was written', async () => {
    const script = `mkfifo pipes/seq; seq 200000 > pipes/seq & cat pipes/seq | md5sum; seq 200000 | md5sum; wait`;
    const [first, second] = (await mount.output(script, LONG)).split('\n');
    expect(first).toBe(second);
  });

  test('P69, P72: 24 MiB of random bytes arrive intact, in blocks of 1 MiB, 64 KiB and 4 KiB', async () => {
    for (const block of ['1M', '64K', '4K']) {
      const script = `
        work=$(mktemp -d); trap 'rm -r "$work"' EXIT
        [ -e pipes/random ] || mkfifo pipes/random
        head -c 24M /dev/urandom > "$work/in"
        dd if="$work/in" of=pipes/random bs=${block} status=none &
        cat pipes/random | cmp - "$work/in" && echo intact; wait`;
      expect(await mount.output(script, LONG)).toBe('intact\n');
    }
  });

  test('P33, P69: a tar archive can be unpacked from a pipe', async () => {
    const script = `
      work=$(mktemp -d); trap 'rm -r "$work"' EXIT
      mkdir "$work/in" "$work/out"; mkfifo pipes/tar
      for i in $(seq 50); do head -c $((i * 3000)) /dev/urandom > "$work/in/$i"; done
      tar -cf pipes/tar -C "$work/in" . &
      tar -xf pipes/tar -C "$work/out"; wait
      diff -r "$work/in" "$work/out" && echo same`;
    expect(await mount.output(script, LONG)).toBe('same\n');
  });

  test('P52, P60: a writer whose reader leaves ends with SIGPIPE', async () => {
    const script = `mkfifo pipes/yes; (yes > pipes/yes; echo "status $?" >&2) & head -1 < pipes/yes > /dev/null 2>&1; wait`;
    expect((await mount.sh(script, LONG)).stderr).toBe('status 141\n');
  });

  test('P39, P130: timeout ends a reader that waits', async () => {
    const script = 'mkfifo pipes/slow; timeout 0.3 cat pipes/slow; echo $?';
    expect(await mount.output(script)).toBe('124\n');
  });

  test('P39: a signal ends a blocked read with EINTR', async () => {
    const driver = await mount.driver();
    await mount.output('mkfifo pipes/eintr');
    const fd = await driver.open('pipes/eintr', 'rw');
    const read = driver.begin({ call: 'read', fd, count: 10 });
    await mount.untilBlocked('pipes/eintr', 'piperd');
    driver.interrupt();
    expect((await read.promise).result).toBe(-4);
  });

  test('ordinary tools copy through pipes', async () => {
    const script = `
      mkfifo pipes/tools
      cp /etc/passwd pipes/tools & cat pipes/tools | cmp - /etc/passwd && echo cp; wait
      cat /etc/passwd > pipes/tools & cp pipes/tools /dev/stdout | cmp - /etc/passwd && echo from; wait
      printf 'b\\na\\n' > pipes/tools & sort pipes/tools; wait
      tee pipes/tools <<< hi > /dev/null & wc -l < pipes/tools; wait`;
    expect(await mount.output(script, LONG)).toBe('cp\nfrom\na\nb\n1\n');
  });
});
