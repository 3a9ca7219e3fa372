/*
 * descriptor-tricks PATH: what an unprivileged user may do with a file that he may not read, by descriptors that need no right to read:
 * O_PATH, file handles (also as root of a user namespace), fanotify. A line for each: what, and 0 or the name of the error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell(const char *what, long result) {
  printf("%s %s\n", what, result >= 0 ? "0" : strerrorname_np(errno));
}

static void change(const char *what, const char *format, int descriptor) {
  char line[64], answer[4096] = "";
  int kqueue = open("kqueue", O_RDWR);
  snprintf(line, sizeof line, format, descriptor);
  if (write(kqueue, line, strlen(line)) < 0 || read(kqueue, answer, sizeof answer - 1) < 0) tell(what, -1);
  char *word = strstr(answer, "errno=");
  printf("%s %s\n", what, word == NULL ? "none" : strtok(word + 6, " \n"));
  close(kqueue);
}

int main(int argc, char **argv) {
  static union {
    struct file_handle handle;
    char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  } name = {.handle.handle_bytes = MAX_HANDLE_SZ};
  char byte, path[64];
  int mount_id;
  if (argc < 2) return 2;
  int descriptor = open(argv[1], O_PATH), root = open(".", O_RDONLY | O_DIRECTORY);
  tell("open(O_PATH)", descriptor);
  tell("read", read(descriptor, &byte, 1));
  tell("fchmod", fchmod(descriptor, 0777));
  tell("ioctl", ioctl(descriptor, 0x80084b01, path));
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  tell("open(/proc/self/fd)", open(path, O_RDONLY));
  tell("chmod(/proc/self/fd)", chmod(path, 0777));
  change("read fd:N", "add read fd:%d receipt\n", descriptor);
  change("vnode fd:N", "add vnode fd:%d delete receipt\n", descriptor);
  tell("name_to_handle_at", name_to_handle_at(descriptor, "", &name.handle, &mount_id, AT_EMPTY_PATH));
  tell("open_by_handle_at", open_by_handle_at(root, &name.handle, O_RDONLY));
  int fanotify = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
  tell("fanotify_init", fanotify);
  tell("fanotify_mark", fanotify_mark(fanotify, FAN_MARK_ADD, FAN_ACCESS | FAN_OPEN, AT_FDCWD, argv[1]));
  tell("fanotify_mark(file system)", fanotify_mark(fanotify, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, "."));
  tell("fanotify_init(FAN_CLASS_CONTENT)", fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
  tell("unshare(CLONE_NEWUSER)", unshare(CLONE_NEWUSER | CLONE_NEWNS));
  int inside = open(".", O_RDONLY | O_DIRECTORY);
  tell("open_by_handle_at in a namespace", open_by_handle_at(inside, &name.handle, O_RDONLY));
  memset(name.handle.f_handle, 0x5a, name.handle.handle_bytes);
  tell("open_by_handle_at of no file", open_by_handle_at(inside, &name.handle, O_RDONLY));
  fanotify = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
  tell("fanotify_mark(file system) in a namespace",
       fanotify_mark(fanotify, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, "."));
  tell("umount2", umount2(".", 0));
  return 0;
}
