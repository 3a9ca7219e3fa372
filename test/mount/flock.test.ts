import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ipcfs } from '../support/cli.ts';
import { runC, whyNoCompiler } from '../support/c-program.ts';
import { describeMount, type Row, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

const missing = whyNoCompiler('/usr/include/linux/fuse.h');

describeMount('flock', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
    await mount.output('mkfifo pipes/p pipes/r; mkdir pairs/q; truncate -s 4096 shm/0x7; touch kqueues/k');
  });
  afterEach(() => until(async () => (await mount.table('locks')).length === 0));
  afterAll(() => mount.stop());

  const files = [
    'pipes/p',
    'pairs/q/0',
    'kqueues/k',
    'shm/0x7',
    'shm/ctl',
    'info/pipes',
    'sysctl/kern/ipc/pipe_mindirect',
    'pipes',
  ];

  test.each(files)(
    '%s: one exclusive lock or many shared ones, until the last descriptor closes',
    async (path) => {
      const redirection = path.startsWith('pipes/') || path.startsWith('pairs/') ? '<>' : '<';
      const script = `
      try() { flock -n "$@" && echo yes || echo no; }
      exec 3${redirection}${path} 4${redirection}${path}
      try -x 3; try -x 4; try -s 4; try -u 3; try -s 3; try -s 4; try -x 3; try -u 4; try -x 3
      exec 5>&3 3>&-; try -s 4; exec 5>&-; try -x 4`;
      expect((await mount.output(script)).trim().split('\n').join(' ')).toBe(
        'yes no no yes yes yes no yes yes no yes',
      );
    },
  );

  test('workers that lock around what they read take whole lines from a pipe', async () => {
    const script = `
      exec 3<>pipes/p
      for worker in 1 2 3; do
        (exec 9<>pipes/p; for turn in 1 2 3 4 5 6 7 8; do
          flock 9; read -r -n 3 a <&3; read -r -n 3 b <&3; flock -u 9; echo $a $b; done) &
      done
      for line in $(seq 100 123); do printf '%s%s' $line $line >&3; done
      wait`;
    const lines = (await mount.output(script, { timeoutMs: 60_000 })).trim().split('\n');
    expect(lines.sort()).toEqual(Array.from({ length: 24 }, (_, index) => `${100 + index} ${100 + index}`));
  });

  test('a call that waits is in info/waits with its holder, and kill -9 ends it', async () => {
    const holder = mount.start('exec 3<>pipes/p; flock 3; echo locked; exec sleep 100 3<&3');
    await until(() => holder.stdout.includes('locked'));
    const waiter = mount.start('exec flock pipes/p true');
    await mount.untilBlocked('pipes/p', 'lockf');
    const [row] = (await mount.table('waits')) as [Row];
    const [lock] = (await mount.table('locks')) as [Row];
    expect(row).toMatchObject({
      call: 'flock',
      object: 'pipes/p',
      pid: waiter.pid,
      command: 'flock',
      peers: 1,
    });
    expect(row['until']).toBe(`process ${String(lock['process'])} unlocks it`);
    expect(lock).toMatchObject({
      object: 'pipes/p',
      call: 'flock',
      type: 'exclusive',
      start: 0,
      end: 'end',
      blocked: 1,
    });
    const { stdout, stderr } = await ipcfs(['waits', mount.directory]);
    expect(stdout + stderr).toContain(`<- sleep ${String(holder.pid)}`);
    waiter.kill('SIGKILL');
    await waiter.finished();
    await mount.untilBlocked('pipes/p', 'lockf', 0);
    expect((await mount.table('locks'))[0]).toMatchObject({ blocked: 0 });
    holder.kill('SIGKILL');
    await holder.finished();
  });

  test('the death of the holder lets the next in line go on, and each of a crowd has its turn', async () => {
    const holder = mount.start('exec 3<>pipes/r; flock 3; echo locked; exec sleep 100 3<&3');
    await until(() => holder.stdout.includes('locked'));
    const crowd = mount.start(
      `for each in $(seq 20); do flock pipes/r -c 'test -e /tmp/none || echo turn' & done; wait`,
    );
    await mount.untilBlocked('pipes/r', 'lockf', 20);
    holder.kill('SIGKILL');
    await until(() => crowd.isFinished);
    expect(crowd.stdout).toBe('turn\n'.repeat(20));
  });

  test('flock -w gives up after its time, and leaves no wait behind', async () => {
    const script = `exec 3<>pipes/p; flock 3; flock -w 0.2 pipes/p true; echo $?; grep -c flock info/waits`;
    expect((await mount.sh(script)).stdout).toBe('1\n0\n');
  });

  test('two processes that each hold what the other waits for are a deadlock of ipcfs waits', async () => {
    const script = (own: string, other: string): string =>
      `exec 3<>${own} 4<>${other}; flock 3; echo locked; read -r; exec perl -e 'open(F, "<&=4"); flock(F, 2)'`;
    const one = mount.start(script('pipes/p', 'pipes/r'));
    const two = mount.start(script('pipes/r', 'pipes/p'));
    // Somebody who has the files open and no lock changes nothing.
    const bystander = mount.start('exec 3<>pipes/p 4<>pipes/r; exec sleep 100 3<&3 4<&4');
    for (const process of [one, two]) {
      await until(() => process.stdout.includes('locked'));
      process.child.stdin!.write('\n');
    }
    await mount.untilBlocked('pipes/p', 'lockf');
    await mount.untilBlocked('pipes/r', 'lockf');
    let stdout = '';
    await until(async () => {
      const finished = await ipcfs(['waits', '--check', mount.directory]);
      stdout = finished.stdout;
      return finished.status === 3;
    });
    expect(stdout).toMatch(
      /^deadlock: perl \d+ in flock of .* and perl \d+ in flock of .* wait for each other/,
    );
    for (const process of [one, two, bystander]) {
      process.kill('SIGKILL');
      await process.finished();
    }
  });

  test.skipIf(missing !== null)(
    'fcntl: ranges of segments with owner, F_GETLK, EDEADLK and release at close',
    () => {
      const printed = runC(`
      #define _GNU_SOURCE
      #include <errno.h>
      #include <fcntl.h>
      #include <stdio.h>
      #include <string.h>
      #include <sys/wait.h>
      #include <unistd.h>
      static int set(int fd, int command, int type, long start, long length) {
        struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
        return fcntl(fd, command, &lock) == 0 ? 0 : errno;
      }
      static void ask(int fd, int type, long start, pid_t owner) {
        struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = 1 };
        if (fcntl(fd, F_GETLK, &lock) != 0) printf("errno %d\\n", errno);
        else if (lock.l_type == F_UNLCK) printf("free\\n");
        else printf("type %d from %ld length %ld %s\\n", lock.l_type, (long)lock.l_start, (long)lock.l_len,
                    lock.l_pid == owner ? "parent" : "?");
      }
      int main(void) {
        if (chdir("${mount.directory}") != 0) return 1;
        alarm(30);
        setvbuf(stdout, NULL, _IONBF, 0);
        int fd = open("shm/0x7", O_RDWR), go[2], done[2];
        char byte;
        if (pipe(go) != 0 || pipe(done) != 0) return 2;
        printf("%d %d\\n", set(fd, F_SETLK, F_WRLCK, 0, 10), set(fd, F_SETLK, F_RDLCK, 100, 0));
        pid_t parent = getpid(), child = fork();
        if (child == 0) {
          int own = open("shm/0x7", O_RDWR);
          ask(own, F_WRLCK, 5, parent), ask(own, F_WRLCK, 50, parent), ask(own, F_RDLCK, 5000, parent);
          printf("%s %d\\n", strerror(set(own, F_SETLK, F_WRLCK, 9, 1)), set(own, F_SETLK, F_WRLCK, 20, 5));
          if (write(done[1], "x", 1) != 1) return 3;
          /* Blocks until the parent closes a descriptor of the file. */
          printf("waited %d\\n", set(own, F_SETLKW, F_WRLCK, 0, 1));
          return 0;
        }
        if (read(done[0], &byte, 1) != 1) return 4;
        FILE *waits;
        char line[256];
        for (int seen = 0; !seen;) {
          waits = fopen("info/waits", "r");
          while (fgets(line, sizeof line, waits)) if (strstr(line, "fcntl")) seen = 1;
          fclose(waits);
        }
        printf("%s\\n", strerror(set(fd, F_SETLKW, F_WRLCK, 20, 1)));
        close(open("shm/0x7", O_RDONLY));
        waitpid(child, NULL, 0);
        /* The lock of an open file: of two in one process, until its last descriptor is closed. */
        int other = open("shm/0x7", O_RDWR), copy = dup(fd);
        printf("%d", set(fd, F_OFD_SETLK, F_WRLCK, 0, 0)), printf(" %s\\n", strerror(set(other, F_OFD_SETLK, F_RDLCK, 3, 1)));
        close(fd), printf("%s", strerror(set(other, F_OFD_SETLK, F_RDLCK, 3, 1)));
        close(copy), printf(" %d\\n", set(other, F_OFD_SETLK, F_RDLCK, 3, 1));
        printf("%s\\n", strerror(set(open("pipes/p", O_RDWR), F_SETLK, F_WRLCK, 0, 1)));
        return 0;
      }`);
      expect(printed.trim().split('\n')).toEqual([
        '0 0',
        'type 1 from 0 length 10 parent',
        'free',
        'free',
        'Resource temporarily unavailable 0',
        'Resource deadlock avoided',
        'waited 0',
        '0 Resource temporarily unavailable',
        'Resource temporarily unavailable 0',
        'Invalid argument',
      ]);
    },
  );
});
