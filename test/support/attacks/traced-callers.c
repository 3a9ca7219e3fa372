/*
 * traced-callers SECONDS, in a mount: stops and continues children that sleep in calls, as a debugger does, hundreds of times a second; then
 * makes one call another one while it sleeps, and kills them all while they are traced.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILDREN = 16 };

static void sleep_in_calls(int number) {
  char bytes[100];
  int fifo = open("pipes/traced", O_RDWR), kqueue = open("kqueue", O_RDWR);
  for (;;) {
    if (number % 2 == 0 && read(fifo, bytes, sizeof bytes) < 0) continue;
    if (number % 2 == 1 && read(kqueue, bytes, sizeof bytes) < 0) continue;
  }
}

int main(int argc, char **argv) {
  pid_t children[CHILDREN];
  long stops = 0;
  if (argc < 2) return 2;
  for (int n = 0; n < CHILDREN; n++) {
    children[n] = fork();
    if (children[n] == 0) sleep_in_calls(n);
  }
  usleep(300000);
  for (int n = 0; n < CHILDREN; n++)
    if (ptrace(PTRACE_SEIZE, children[n], 0, 0) != 0) return 1;
  for (time_t end = time(NULL) + atoi(argv[1]); time(NULL) < end;) {
    for (int n = 0; n < CHILDREN; n++) {
      int status;
      if (ptrace(PTRACE_INTERRUPT, children[n], 0, 0) != 0) return 1;
      if (waitpid(children[n], &status, __WALL) != children[n] || !WIFSTOPPED(status)) return 1;
      ptrace(stops++ % 3 == 0 ? PTRACE_SYSCALL : PTRACE_CONT, children[n], 0, 0);
    }
  }
  for (int n = 0; n < CHILDREN; n++) kill(children[n], SIGKILL);
  for (int n = 0; n < CHILDREN; n++) waitpid(children[n], NULL, __WALL);
  printf("enough %d\n", stops > 500);
  return 0;
}
