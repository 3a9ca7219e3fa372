/*
 * kernel-copies SECONDS, in a mount: gives pages to the mount by vmsplice and splice while another thread writes to them, and tees and splices
 * between pipes of Linux and of the mount. Counts calls that did not do what they do with a file that is no pipe of Linux.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static volatile int is_ending;
static char *page;

static void *scribble(void *unused) {
  (void)unused;
  for (char byte = 'a'; !is_ending; byte = byte == 'z' ? 'a' : byte + 1) memset(page, byte, PAGE);
  return NULL;
}

int main(int argc, char **argv) {
  int ends[2], copy[2];
  long rounds = 0, failed = 0, short_ones = 0;
  static char bytes[2 * PAGE];
  if (argc < 2 || pipe(ends) != 0 || pipe(copy) != 0) return 2;
  page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int fifo = open("pipes/copies", O_RDWR | O_NONBLOCK);
  if (fifo < 0) return 1;
  pthread_t thread;
  pthread_create(&thread, NULL, scribble, NULL);
  for (time_t end = time(NULL) + atoi(argv[1]); time(NULL) < end; rounds++) {
    struct iovec part = {.iov_base = page, .iov_len = PAGE};
    if (vmsplice(ends[1], &part, 1, SPLICE_F_GIFT) != PAGE) return 1;
    if (tee(ends[0], copy[1], PAGE, 0) != PAGE) return 1;
    if (splice(ends[0], NULL, fifo, NULL, PAGE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK) != PAGE) failed++;
    if (splice(copy[0], NULL, fifo, NULL, PAGE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK) != PAGE) failed++;
    if (read(fifo, bytes, sizeof bytes) != sizeof bytes) short_ones++;
    if (tee(fifo, copy[1], PAGE, SPLICE_F_NONBLOCK) >= 0) failed++;
    if (splice(fifo, NULL, copy[1], NULL, PAGE, SPLICE_F_NONBLOCK) > 0) failed++;
  }
  is_ending = 1;
  printf("failed %ld short %ld enough %d\n", failed, short_ones, rounds > 3);
  return 0;
}
