/*
 * crowd CALLS KNOTES SECONDS, in a mount: that many threads sleep in calls, that many registrations wait on one pipe, and meanwhile calls fail
 * in every way while the pipe is written to and read. Prints how many calls there were, and how many registrations were asked for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STACK_BYTES = 32768, TEXT_BYTES = 60000 };

static int sleeper;

static void *sleep_in_a_call(void *unused) {
  char byte;
  return read(sleeper, &byte, 1) < 0 ? unused : NULL;
}

int main(int argc, char **argv) {
  static char text[TEXT_BYTES + 128];
  if (argc < 4) return 2;
  int calls = 0, knotes = 0, wanted = atoi(argv[2]);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sleeper = open("pipes/sleepers", O_RDWR);
  int fifo = open("pipes/crowd", O_RDWR | O_NONBLOCK);
  if (sleeper < 0 || fifo < 0) return 1;
  for (int n = 0; n < atoi(argv[1]); n++) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, sleep_in_a_call, NULL) == 0) calls++;
  }
  while (knotes < wanted) {
    int kqueue = open("kqueue", O_RDWR);
    if (kqueue < 0) break;
    size_t size_bytes = 0;
    int lines = 0;
    // One pipe takes one registration a filter and queue: the others are user events, which the queue keeps as well.
    size_bytes += sprintf(text, "add read pipes/crowd\n");
    for (lines = 1; lines < 1000 && knotes + lines < wanted; lines++)
      size_bytes += sprintf(text + size_bytes, "add user %d clear\n", lines);
    if (write(kqueue, text, size_bytes) < 0) break;
    knotes += lines;
  }
  printf("calls %d knotes %d\n", calls, knotes);
  fflush(stdout);
  char bytes[512] = "";
  for (time_t end = time(NULL) + atoi(argv[3]); time(NULL) < end;) {
    if (write(fifo, bytes, sizeof bytes) < 0 || read(fifo, bytes, sizeof bytes) < 0) return 1;
    if (open("pipes/none/none", O_RDONLY) >= 0 || open("info/none", O_RDONLY) >= 0 || mkdir("info/x", 0777) == 0) return 1;
    if (open("sysctl/ipcfs/quota/knotes", O_WRONLY) >= 0 || rename("pipes/crowd", "shm/crowd") == 0) return 1;
    if (ioctl(fifo, 0x4004667c, 1) == 0 || read(fifo, bytes, 1) >= 0 || rmdir("pipes") == 0) return 1;
  }
  printf("end\n");
  fflush(stdout);
  _exit(0);
}
