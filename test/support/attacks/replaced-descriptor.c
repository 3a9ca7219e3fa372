/*
 * replaced-descriptor FILE SECONDS: registers descriptor 11 again and again while another thread makes it a pipe of the mount and FILE, of
 * another file system, by turns. The pipe is opened twice through one inode, so that the server has to ask which of the two it is.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { REPLACED = 11, SPIN = 20000 };

static int foreign, own;
static volatile int is_ending;

static void *replace(void *unused) {
  (void)unused;
  while (!is_ending) {
    dup2(foreign, REPLACED);
    for (volatile int n = 0; n < SPIN; n++) continue;
    dup2(own, REPLACED);
  }
  return NULL;
}

int main(int argc, char **argv) {
  char path[64], answer[4096];
  if (argc < 3) return 2;
  own = open("pipes/replaced", O_RDWR);
  snprintf(path, sizeof path, "/proc/self/fd/%d", own);
  int second = open(path, O_RDWR), kqueue = open("kqueue", O_RDWR);
  foreign = open(argv[1], O_RDWR);
  if (own < 0 || second < 0 || kqueue < 0 || foreign < 0) {
    perror("open");
    return 1;
  }
  dup2(own, REPLACED);
  pthread_t thread;
  pthread_create(&thread, NULL, replace, NULL);
  int applied = 0, refused = 0;
  for (time_t end = time(NULL) + atoi(argv[2]); time(NULL) < end;) {
    for (int n = 0; n < 2; n++) {
      const char *change = n == 0 ? "add read fd:11 receipt\n" : "delete read fd:11 receipt\n";
      if (write(kqueue, change, strlen(change)) < 0) continue;
      ssize_t count = read(kqueue, answer, sizeof answer);
      if (count > 0 && memmem(answer, count, "errno=0", 7) != NULL) applied++;
      else refused++;
    }
  }
  is_ending = 1;
  printf("applied %d refused %d\n", applied, refused);
  return 0;
}
