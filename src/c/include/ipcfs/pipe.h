/* pipe() and pipe2() as on FreeBSD: both descriptors are ends of a pair, read and write, and have no name. */
#ifndef IPCFS_PIPE_H
#define IPCFS_PIPE_H

#include <ipcfs/mount.h>
#include <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

IPCFS_SHARED unsigned int ipcfs_pair_count;

/* Makes a directory in pairs/ that nobody else has; 0 with its path in `path` of IPCFS_PATH_BYTES, or -1. */
static __inline__ int ipcfs_make_pair(char *path)
{
	char name[64];

	do {
		snprintf(name, sizeof name, "pairs/%ld.%u", (long)getpid(),
		    __atomic_add_fetch(&ipcfs_pair_count, 1U, __ATOMIC_RELAXED));
		if (ipcfs_path(path, name) < 0)
			return -1;
		if (mkdir(path, 0700) == 0)
			return 0;
	} while (errno == EEXIST);
	ipcfs_explain(path);
	return -1;
}

static __inline__ int ipcfs_open_end(const char *path, char number, int flags)
{
	char end[IPCFS_PATH_BYTES + 2];

	snprintf(end, sizeof end, "%s/%c", path, number);
	return open(end, O_RDWR | flags);
}

/* `flags`: O_CLOEXEC and O_NONBLOCK. */
IPCFS_SHARED int pipe2(int fds[2], int flags) IPCFS_THROW
{
	char path[IPCFS_PATH_BYTES];
	int first, second, error;

	if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) != 0) {
		errno = EINVAL;
		return -1;
	}
	if (ipcfs_make_pair(path) < 0)
		return -1;
	first = ipcfs_open_end(path, '0', flags);
	second = first < 0 ? -1 : ipcfs_open_end(path, '1', flags);
	error = errno;
	/* The open ends go on without a name. */
	rmdir(path);
	if (second < 0) {
		if (first >= 0)
			close(first);
		errno = error;
		return -1;
	}
	errno = error;
	fds[0] = first;
	fds[1] = second;
	return 0;
}

IPCFS_SHARED int pipe(int fds[2]) IPCFS_THROW
{
	return pipe2(fds, 0);
}

#ifdef __cplusplus
}
#endif

#endif
