/*
 * Counts attachments right after the calls that end them. Arguments: the mounted directory, and whether a descriptor stays open as
 * long as its mapping (keep) or is closed at once (close). Prints how often shm/ctl and info/shm were behind.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 65536
#define ROUNDS 20

struct attachment {
  void *address;
  int fd;
};

static int control, id, keep, stale[2];

static void check(int ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(1);
}

static char *ask(const char *request) {
  static char answer[1024];
  check(write(control, request, strlen(request)) > 0, "write to shm/ctl");
  ssize_t length = read(control, answer, sizeof answer - 1);
  check(length > 0 && strncmp(answer, "ok", 2) == 0, request);
  answer[length] = 0;
  return answer;
}

static struct attachment attach(void) {
  char name[64];
  struct attachment a;
  snprintf(name, sizeof name, "shm/id/%d", id);
  a.fd = open(name, O_RDWR);
  check(a.fd >= 0, name);
  a.address = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, 0);
  check(a.address != MAP_FAILED, "mmap");
  if (!keep) close(a.fd);
  return a;
}

static void detach(struct attachment a) {
  munmap(a.address, SIZE);
  if (keep) close(a.fd);
}

static long field(const char *answer, const char *name) {
  const char *at = strstr(answer, name);
  check(at != NULL, name);
  return atol(at + strlen(name));
}

/* By shm/ctl and by the table, in turns. */
static void expect(int round, int count) {
  char request[64], table[65536];
  snprintf(request, sizeof request, "stat %d\n", id);
  if (round % 2 == 0) {
    stale[0] += field(ask(request), " nattch=") != count;
  } else {
    int fd = open("info/shm.json", O_RDONLY);
    ssize_t length = read(fd, table, sizeof table - 1);
    check(length > 0, "info/shm.json");
    close(fd);
    table[length] = 0;
    stale[1] += field(table, "\"nattch\":") != count;
  }
}

int main(int argc, char **argv) {
  check(argc == 3 && chdir(argv[1]) == 0, "chdir");
  keep = strcmp(argv[2], "keep") == 0;
  control = open("shm/ctl", O_RDWR);
  check(control >= 0, "shm/ctl");
  id = atoi(ask("get private 65536 create\n") + 3);
  struct attachment own = attach();
  for (int round = 0; round < ROUNDS; round++) {
    pid_t pid = fork();
    if (pid == 0) {
      struct attachment a = attach();
      if (round % 2) detach(a);
      _exit(0);
    }
    waitpid(pid, NULL, 0);
    expect(round, 1);
  }
  for (int round = 0; round < ROUNDS; round++) {
    detach(attach());
    expect(round, 1);
  }
  detach(own);
  expect(0, 0);
  printf("%d %d\n", stale[0], stale[1]);
  char request[64];
  snprintf(request, sizeof request, "rmid %d\n", id);
  ask(request);
  return 0;
}
