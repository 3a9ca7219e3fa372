import { afterAll, beforeAll, expect, test } from 'vitest';
import { runC, whyNoCompiler } from '../support/c-program.ts';
import { describeMount, TestMount } from '../support/mount.ts';

const missing = whyNoCompiler('/usr/include/linux/fuse.h');

/** What the calls of `body` print, in the directory of the mount. */
function program(mount: TestMount, body: string): string {
  return runC(`
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <setjmp.h>
    #include <signal.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/stat.h>
    #include <sys/wait.h>
    #include <unistd.h>
    static sigjmp_buf back;
    static void jump(int signal) { siglongjmp(back, signal); }
    /* Who reads one byte: 0, or the signal that it gets. */
    static int touch(volatile char *at) {
      signal(SIGBUS, jump);
      int got = sigsetjmp(back, 1);
      return got == 0 ? (int)*at * 0 : got;
    }
    int main(void) {
      if (chdir("${mount.directory}") != 0) return 1;
      alarm(20);
      (void)touch;
      ${body}
      return 0;
    }`);
}

describeMount('calls that are odd for what the files are', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  test.skipIf(missing !== null)(
    'splice(2) takes nothing from a pipe or a kqueue, and puts all into a pipe',
    () => {
      const printed = program(
        mount,
        `mkfifo("pipes/s", 0644);
      int host[2], file = open("pipes/s", O_RDWR), queue = open("kqueues/s", O_RDWR | O_CREAT, 0644);
      char bytes[100] = "";
      if (pipe(host) != 0 || write(file, "0123456789", 10) != 10) return 2;
      if (write(queue, "add user 1 trigger\\n", 19) != 19) return 3;
      struct stat now;
      stat("pipes/s", &now), stat("kqueues/s", &now), fstat(file, &now), fstat(queue, &now);
      printf("%zd", splice(file, 0, host[1], 0, 4, 0)), printf(" %s\\n", strerror(errno));
      printf("%zd", splice(queue, 0, host[1], 0, 4, 0)), printf(" %s\\n", strerror(errno));
      printf("%zd", read(file, bytes, 99)), printf(" %s\\n", bytes);
      memset(bytes, 0, sizeof bytes);
      printf("%zd", read(queue, bytes, 99)), printf(" %s", bytes);
      if (write(host[1], "spliced", 7) != 7) return 4;
      memset(bytes, 0, sizeof bytes);
      printf("%zd", splice(host[0], 0, file, 0, 100, 0)), printf(" %zd", read(file, bytes, 99)), printf(" %s\\n", bytes);
      unlink("pipes/s"), unlink("kqueues/s");`,
      );
      expect(printed).toBe(
        '-1 Invalid argument\n-1 Invalid argument\n10 0123456789\n39 user 1 data=0 flags=- fflags=0 udata=-\n7 7 spliced\n',
      );
    },
  );

  test.skipIf(missing !== null)('a mapping of a pipe shows nothing and takes nothing', () => {
    const printed = program(
      mount,
      `mkfifo("pipes/m", 0644);
      int file = open("pipes/m", O_RDWR);
      char bytes[100] = "";
      if (write(file, "0123456789", 10) != 10) return 2;
      printf("%d", mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED), printf(" %s\\n", strerror(errno));
      char *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
      printf("%s\\n", strsignal(touch(at)));
      printf("%zd", read(file, bytes, 99)), printf(" %s\\n", bytes);
      unlink("pipes/m");`,
    );
    expect(printed).toBe('1 No such device\nBus error\n10 0123456789\n');
  });
});
