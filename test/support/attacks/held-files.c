/*
 * Watches a pipe and a connection while a thread of its own writes to them from memory that never comes: held-files MAPPED-FILE. It prints the
 * answers of the kqueue in the working directory, and waits to be killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAGE = 4096 };

static char *page[2];

static void *hold(void *descriptor) {
  int fd = *(int *)descriptor;
  char *from = page[fd % 2];
  if (write(fd, from, PAGE) < 0) perror("write");
  return NULL;
}

static void ask(int queue, int fd, const char *filter) {
  char line[300];
  int length = snprintf(line, sizeof line, "add %s fd:%d receipt\n", filter, fd);
  if (write(queue, line, length) != length) perror("change");
  ssize_t got = read(queue, line, sizeof line);
  if (got > 0) fwrite(line, 1, got, stdout);
  fflush(stdout);
}

int main(int argc, char **argv) {
  int file = open(argv[argc - 1], O_RDONLY), queue = open("kqueue", O_RDWR), ends[2], descriptors[2];
  for (int i = 0; i < 2; i++) page[i] = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, 0);
  if (file < 0 || queue < 0 || page[1] == MAP_FAILED || pipe(ends) != 0) return perror("open"), 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), near = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (void *)&address, size) != 0 || listen(listener, 1) != 0) return perror("listen"), 1;
  getsockname(listener, (void *)&address, &size);
  if (connect(near, (void *)&address, size) != 0) return perror("connect"), 1;
  descriptors[0] = ends[1];
  descriptors[1] = near;
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, hold, &descriptors[i]);
  usleep(200000);
  puts("held");
  ask(queue, ends[0], "read");
  ask(queue, near, "write");
  pause();
}
