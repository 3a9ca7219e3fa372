/*
 * handover COUNT, as root in a mount: user 1001 opens a pipe COUNT times and a kqueue, sends the descriptors through a socket (SCM_RIGHTS) and
 * ends. They stay on their way for a line of input; user 1002 then takes them, uses the kqueue, and keeps them for another line.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(int user) {
  if (setgid(user) != 0 || setuid(user) != 0) exit(3);
}

static struct msghdr *message(int descriptor) {
  static char control[CMSG_SPACE(sizeof(int))], byte = 'd';
  static struct iovec part = {.iov_base = &byte, .iov_len = 1};
  static struct msghdr found;
  found = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&found);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof descriptor);
  memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  return &found;
}

static int receive(int from) {
  struct msghdr *found = message(-1);
  int descriptor = -1;
  if (recvmsg(from, found, 0) > 0) memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(found)), sizeof descriptor);
  return descriptor;
}

static void say(const char *line) {
  char input[16];
  printf("%s\n", line);
  fflush(stdout);
  if (fgets(input, sizeof input, stdin) == NULL) exit(4);
}

int main(int argc, char **argv) {
  int ends[2], count = argc > 1 ? atoi(argv[1]) : 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) return 1;
  pid_t sender = fork();
  if (sender == 0) {
    become(1001);
    for (int n = 0; n < count; n++)
      if (sendmsg(ends[0], message(open("pipes/handed", O_RDWR)), 0) < 0) return 1;
    int kqueue = open("kqueue", O_RDWR);
    const char *change = "add user 1 udata=mine\n";
    if (write(kqueue, change, strlen(change)) < 0 || sendmsg(ends[0], message(kqueue), 0) < 0) return 1;
    return 0;
  }
  int status;
  waitpid(sender, &status, 0);
  if (status != 0) return 1;
  say("sent");
  become(1002);
  for (int n = 0; n < count; n++)
    if (receive(ends[1]) < 0) return 1;
  int kqueue = receive(ends[1]);
  const char *changes[] = {"add read pipes/victim/pipe receipt\n", "add read pipes/attacker/f receipt\n", "add read fd:0 receipt\n",
                           "add user 2 receipt\n"};
  for (size_t n = 0; n < sizeof changes / sizeof *changes; n++) {
    char answer[4096];
    if (write(kqueue, changes[n], strlen(changes[n])) < 0) return 1;
    ssize_t size_bytes = read(kqueue, answer, sizeof answer);
    printf("%.*s", (int)size_bytes, answer);
  }
  say("taken");
  return 0;
}
