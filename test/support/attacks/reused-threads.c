/*
 * reused-threads ROUNDS, as root in a mount: user 1001 writes a change that only group 2000 may make, behind so much text that the server
 * takes its time, and is killed meanwhile; a process of that group gets its number as soon as Linux gives it away. Prints how many did.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_BYTES = 60000, GROUP = 2000 };

int main(int argc, char **argv) {
  static char text[TEXT_BYTES + 64];
  int taken = 0, rounds = argc > 1 ? atoi(argv[1]) : 1;
  memset(text, '\n', TEXT_BYTES);
  strcpy(text + TEXT_BYTES, "add read pipes/staff/f\n");
  if (setegid(1001) != 0 || seteuid(1001) != 0) return 1;
  int kqueue = open("kqueue", O_RDWR);
  if (kqueue < 0 || seteuid(0) != 0 || setegid(0) != 0) return 1;
  for (int n = 0; n < rounds; n++) {
    int started[2];
    if (pipe(started) != 0) return 1;
    pid_t writer = fork();
    if (writer == 0) {
      if (setgroups(0, NULL) != 0 || setgid(1001) != 0 || setuid(1001) != 0) _exit(1);
      if (write(started[1], "s", 1) != 1) _exit(1);
      for (;;)
        if (write(kqueue, text, strlen(text)) < 0) _exit(2);
    }
    if (read(started[0], text + TEXT_BYTES + 40, 1) != 1) return 1;
    usleep(n % 10 * 300);
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    struct clone_args how = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&writer, .set_tid_size = 1};
    pid_t again = syscall(SYS_clone3, &how, sizeof how);
    if (again == 0) {
      gid_t group = GROUP;
      if (setgroups(1, &group) != 0) _exit(1);
      usleep(3000);
      _exit(0);
    }
    if (again == writer) taken++;
    if (again > 0) waitpid(again, NULL, 0);
    close(started[0]);
    close(started[1]);
  }
  printf("taken %d\n", taken);
  return 0;
}
