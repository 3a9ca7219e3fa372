/*
 * A FUSE file system of another user, mounted by root: hanging-file-system DIR USER TEXT PID. Every name with a dot, and `f`, is a file that
 * holds TEXT; others are directories, whose opens are never answered when TEXT is `hold`. Reads are never answered when TEXT is empty, and
 * closes (FLUSH) of the threads PID never.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIRECTORY = 3, REGULAR = 2, ANSWER_BYTES = 1 << 16 };

static char request[1 << 18];
static int device;

static void reply(const struct fuse_in_header *in, int error, const void *body, size_t size_bytes) {
  static char bytes[ANSWER_BYTES];
  struct fuse_out_header out = {.len = sizeof out + size_bytes, .error = -error, .unique = in->unique};
  memcpy(bytes, &out, sizeof out);
  memcpy(bytes + sizeof out, body, size_bytes);
  if (write(device, bytes, out.len) < 0 && errno != ENOENT) perror("answer");
}

static void answer(const struct fuse_in_header *in, const void *body, size_t size_bytes) {
  reply(in, 0, body, size_bytes);
}

static struct fuse_attr attributes(unsigned long node) {
  struct fuse_attr found = {.ino = node, .nlink = 1, .size = 100};
  found.mode = node == REGULAR ? S_IFREG | 0666 : S_IFDIR | 0777;
  return found;
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  const char *text = argv[3];
  char options[200];
  device = open("/dev/fuse", O_RDWR);
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%s,group_id=%s,allow_other", device, argv[2], argv[2]);
  if (mount("ipcfs", argv[1], "fuse.ipcfs", MS_NOSUID | MS_NODEV, options) != 0) {
    perror("mount");
    return 1;
  }
  if (setgid(atoi(argv[2])) != 0 || setuid(atoi(argv[2])) != 0) return 1;
  puts("ready");
  fflush(stdout);
  for (;;) {
    if (read(device, request, sizeof request) < 0) {
      if (errno == ENODEV) return 0;
      continue;
    }
    struct fuse_in_header *in = (struct fuse_in_header *)request;
    const char *body = request + sizeof *in;
    switch (in->opcode) {
    case FUSE_INIT: {
      struct fuse_init_out init = {.major = 7, .minor = 31, .max_write = 4096, .max_background = 10};
      answer(in, &init, sizeof init);
      break;
    }
    case FUSE_GETATTR: {
      struct fuse_attr_out out = {.attr = attributes(in->nodeid)};
      answer(in, &out, sizeof out);
      break;
    }
    case FUSE_LOOKUP: {
      unsigned long node = strchr(body, '.') != NULL || strcmp(body, "f") == 0 ? REGULAR : DIRECTORY;
      struct fuse_entry_out entry = {.nodeid = node, .attr = attributes(node)};
      answer(in, &entry, sizeof entry);
      break;
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      if (in->opcode == FUSE_OPENDIR && strcmp(text, "hold") == 0) break;
      struct fuse_open_out opened = {.open_flags = FOPEN_DIRECT_IO};
      answer(in, &opened, sizeof opened);
      break;
    }
    case FUSE_READ: {
      const struct fuse_read_in *range = (const struct fuse_read_in *)body;
      if (*text != '\0') answer(in, text, range->offset == 0 ? strlen(text) : 0);
      break;
    }
    case FUSE_FLUSH: {
      int is_kept = 0;
      for (int n = 4; n < argc; n++) is_kept |= (unsigned)atoi(argv[n]) == in->pid;
      if (is_kept) {
        puts("kept");
        fflush(stdout);
      } else {
        answer(in, "", 0);
      }
      break;
    }
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
      answer(in, "", 0);
      break;
    case FUSE_STATFS: {
      struct fuse_statfs_out statistics = {.st = {.blocks = 1, .bsize = 4096, .namelen = 255}};
      answer(in, &statistics, sizeof statistics);
      break;
    }
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      break;
    default:
      reply(in, ENOSYS, "", 0);
    }
  }
}
