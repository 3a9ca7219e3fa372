/*
 * A file system in C that does nothing, as fast as libfuse can: one file, `null`, whose reads give zeros and whose writes are
 * taken and forgotten. Several threads, direct I/O.
 *
 *   null-libfuse3 DIR        serves until it is unmounted; writes "ready" once it is mounted
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_INODE 2
#define LARGEST_BYTES (1 << 20)

static char zeros[LARGEST_BYTES];

static int fill_attributes(fuse_ino_t inode, struct stat *attributes)
{
    memset(attributes, 0, sizeof *attributes);
    attributes->st_ino = inode;
    attributes->st_nlink = 1;
    if (inode == FUSE_ROOT_ID)
        attributes->st_mode = S_IFDIR | 0755;
    else if (inode == FILE_INODE)
        attributes->st_mode = S_IFREG | 0666;
    else
        return -1;
    return 0;
}

static void null_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = { .ino = FILE_INODE };

    if (parent != FUSE_ROOT_ID || strcmp(name, "null") != 0) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    fill_attributes(FILE_INODE, &entry.attr);
    fuse_reply_entry(request, &entry);
}

static void null_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file)
{
    struct stat attributes;

    (void)file;
    if (fill_attributes(inode, &attributes) != 0)
        fuse_reply_err(request, ENOENT);
    else
        fuse_reply_attr(request, &attributes, 0);
}

static void null_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file)
{
    (void)inode;
    file->direct_io = 1;
    file->nonseekable = 1;
    fuse_reply_open(request, file);
}

static void null_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void)inode, (void)offset, (void)file;
    fuse_reply_buf(request, zeros, size < LARGEST_BYTES ? size : LARGEST_BYTES);
}

static void null_write(fuse_req_t request, fuse_ino_t inode, const char *data, size_t size, off_t offset,
                       struct fuse_file_info *file)
{
    (void)inode, (void)data, (void)offset, (void)file;
    fuse_reply_write(request, size);
}

static void null_init(void *context, struct fuse_conn_info *connection)
{
    (void)context;
    connection->max_write = LARGEST_BYTES;
}

static const struct fuse_lowlevel_ops operations = {
    .init = null_init,
    .lookup = null_lookup,
    .getattr = null_getattr,
    .open = null_open,
    .read = null_read,
    .write = null_write,
};

int main(int count, char *words[])
{
    struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
    struct fuse_loop_config *configuration = fuse_loop_cfg_create();
    struct fuse_session *session;

    if (count != 2 || fuse_opt_add_arg(&arguments, words[0]) != 0)
        return 2;
    session = fuse_session_new(&arguments, &operations, sizeof operations, NULL);
    if (session == NULL || fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, words[1]) != 0)
        return 1;
    puts("ready");
    fflush(stdout);
    fuse_loop_cfg_set_clone_fd(configuration, 1);
    fuse_session_loop_mt(session, configuration);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    return 0;
}
