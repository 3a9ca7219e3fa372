/* Maps one file many times, in many processes, below directories whose names are newlines. Arguments: directory, maps, processes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#define DEPTH 14
#define PAGE 4096

int main(int argc, char **argv) {
  char name[251];
  int maps = atoi(argv[2]), processes = atoi(argv[3]), count;
  memset(name, '\n', 250);
  name[250] = 0;
  if (argc != 4 || chdir(argv[1]) != 0) return 1;
  for (int depth = 0; depth < DEPTH; depth++)
    if (mkdir(name, 0700) != 0 || chdir(name) != 0) return perror("directory"), 1;
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  if (fd < 0 || ftruncate(fd, PAGE) != 0) return perror("file"), 1;
  for (int child = 1; child < processes; child++)
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      break;
    }
  /* Neighbours with equal rights would be one range. */
  for (count = 0; count < maps; count++)
    if (mmap(NULL, PAGE, count % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED) break;
  printf("%d\n", count);
  fflush(stdout);
  pause();
  return 0;
}
