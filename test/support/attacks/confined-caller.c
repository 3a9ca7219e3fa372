/* Watches a socket under the strictest seccomp, which leaves it read, write and exit: works in the directory of the mount. */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
  static const char change[] = "add read fd:50 oneshot\n";
  char line[200];
  int pair[2], queue = open("kqueue", O_RDWR);
  if (queue < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || dup2(pair[0], 50) != 50) return 1;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) return 2;
  if (write(pair[1], "abc", 3) != 3 || write(queue, change, sizeof change - 1) < 0) syscall(SYS_exit, 3);
  ssize_t length = read(queue, line, sizeof line);
  if (length > 0 && write(1, line, length) == length) syscall(SYS_exit, 0);
  syscall(SYS_exit, 4);
}
