/*
 * Finds the mount and opens files in it. The mount is $IPCFS, or IPCFS_MOUNT. A set-user-id program does not believe $IPCFS.
 * With IPCFS_VERBOSE=1 a mount that is missing is one line on standard error.
 */
#ifndef IPCFS_MOUNT_H
#define IPCFS_MOUNT_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* C++ compares a definition with the C library's declaration. */
#if defined(__cplusplus) && defined(__THROW)
#define IPCFS_THROW __THROW
#else
#define IPCFS_THROW
#endif

/* Functions and state that a program has once, however many of its files include them. */
#define IPCFS_SHARED __attribute__((__weak__))

#ifdef __cplusplus
extern "C" {
#endif

/* Where `ipcfs mount` is expected: the place of the systemd unit. */
#ifndef IPCFS_MOUNT
#define IPCFS_MOUNT "/run/ipc"
#endif

#define IPCFS_PATH_BYTES 4096

/* The path of `name` in the mount, into `path` of IPCFS_PATH_BYTES; 0, or -1 with errno ENAMETOOLONG. */
static __inline__ int ipcfs_path(char *path, const char *name)
{
	const char *mount = getenv("IPCFS");
	int length;

	if (mount == NULL || *mount == '\0' || getuid() != geteuid() || getgid() != getegid())
		mount = IPCFS_MOUNT;
	length = snprintf(path, IPCFS_PATH_BYTES, "%s/%s", mount, name);
	if (length > 0 && length < IPCFS_PATH_BYTES)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

/* Says once why a file of the mount could not be opened, if IPCFS_VERBOSE is set. Keeps errno. */
static __inline__ void ipcfs_explain(const char *path)
{
	static int has_said;
	const char *verbose = getenv("IPCFS_VERBOSE");
	int error = errno;

	if (verbose != NULL && *verbose != '\0' && strcmp(verbose, "0") != 0 && !has_said) {
		has_said = 1;
		fprintf(stderr, "ipcfs: %s: %s. Mount with 'ipcfs mount DIR', and set IPCFS=DIR\n", path, strerror(error));
	}
	errno = error;
}

/* Opens `name` in the mount, closed on exec: a descriptor, or -1 with errno; ENOENT when nothing is mounted. */
static __inline__ int ipcfs_open(const char *name, int flags)
{
	char path[IPCFS_PATH_BYTES];
	int fd;

	if (ipcfs_path(path, name) < 0)
		return -1;
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		ipcfs_explain(path);
	return fd;
}

#ifdef __cplusplus
}
#endif

/* <unistd.h> may have been the one above, which cannot do this itself. */
#ifdef IPCFS_PIPES
#include <ipcfs/pipe.h>
#endif

#endif
