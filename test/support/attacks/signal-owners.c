/*
 * signal-owners PROCESSES GROUPS SECONDS CALLS, in a mount with pipes/owned: that many processes in groups, of which every second has lost its
 * first process. Makes one after the other the receiver of SIGIO, as fast as it can, and causes signals to it, for that time and that
 * often at least.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BSD_FIOASYNC _IOW('f', 125, int)
#define BSD_FIOSETOWN _IOW('f', 124, int)
#define BSD_TIOCSPGRP _IOW('t', 118, int)

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  int processes = atoi(argv[1]), groups = atoi(argv[2]), on = 1;
  long calls = 0, taken = 0, least = atol(argv[4]);
  pid_t *first = calloc(groups, sizeof *first);
  int held[2];
  char byte = 'x';
  signal(SIGIO, SIG_IGN);
  if (pipe(held) != 0) return 1;
  for (int n = 0; n < processes; n++) {
    pid_t *group = &first[n % groups];
    pid_t pid = fork();
    if (pid < 0) {
      perror("fork");
      break;
    }
    if (pid == 0) {
      close(held[1]);
      if (read(held[0], &byte, 1) < 0) return 1;
      _exit(0);
    }
    if (*group == 0) *group = pid;
    setpgid(pid, *group);
  }
  for (int n = 0; n < groups; n += 2) {
    kill(first[n], SIGKILL);
    waitpid(first[n], NULL, 0);
  }
  int file = open("pipes/owned", O_RDWR | O_NONBLOCK);
  if (file < 0 || ioctl(file, BSD_FIOASYNC, &on) != 0) return 1;
  for (time_t end = time(NULL) + atoi(argv[3]); time(NULL) < end || calls < least; calls++) {
    int group = first[calls % groups], owner = -group;
    if (calls % 4 == 3 ? ioctl(file, BSD_TIOCSPGRP, &group) == 0 : ioctl(file, BSD_FIOSETOWN, &owner) == 0) taken++;
    if (write(file, &byte, 1) < 0 || read(file, &byte, 1) < 0) return 1;
  }
  printf("taken %d\n", taken > 0);
  return 0;
}
