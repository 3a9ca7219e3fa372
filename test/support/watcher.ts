/**
 * A program in C that watches a pipe as the words of its command line say: CALL READ WRITE TIMEOUT_MS [ALSO]. It has READ open for reading and
 * WRITE open for both sides, and also watches the descriptor ALSO. TIMEOUT_MS of -1 is none. Ends with 7 when the call returns.
 */
export const watcherSource = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
  const char *call = argv[1];
  int in = open(argv[2], O_RDONLY | O_NONBLOCK), out = open(argv[3], O_RDWR), ms = atoi(argv[4]);
  int also = argc > 5 ? atoi(argv[5]) : -1;
  struct timespec time = { ms / 1000, ms % 1000 * 1000000L };
  struct timeval value = { ms / 1000, ms % 1000 * 1000 };
  struct pollfd polled[2] = { { in, POLLIN, 0 }, { also, POLLIN, 0 } };
  fd_set set;
  struct epoll_event event = { EPOLLIN, { 0 } }, events[4];
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (in < 0 || out < 0) return 1;
  FD_ZERO(&set);
  FD_SET(in, &set);
  if (also >= 0) FD_SET(also, &set);
  epoll_ctl(epoll, EPOLL_CTL_ADD, in, &event);
  if (also >= 0) epoll_ctl(epoll, EPOLL_CTL_ADD, also, &event);
  int most = (in > also ? in : also) + 1;
  if (!strcmp(call, "poll")) poll(polled, 2, ms);
  if (!strcmp(call, "ppoll")) ppoll(polled, 2, ms < 0 ? NULL : &time, NULL);
  if (!strcmp(call, "select")) select(most, &set, NULL, NULL, ms < 0 ? NULL : &value);
  if (!strcmp(call, "pselect")) pselect(most, &set, NULL, NULL, ms < 0 ? NULL : &time, NULL);
  if (!strcmp(call, "epoll_wait")) epoll_wait(epoll, events, 4, ms);
  if (!strcmp(call, "epoll_pwait")) {
    sigset_t none;
    sigemptyset(&none);
    epoll_pwait(epoll, events, 4, ms, &none);
  }
#ifdef SYS_epoll_pwait2
  if (!strcmp(call, "epoll_pwait2")) syscall(SYS_epoll_pwait2, epoll, events, 4, ms < 0 ? NULL : &time, NULL, 0);
#endif
  return 7;
}
`;
