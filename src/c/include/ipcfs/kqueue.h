/*
 * The functions of <sys/event.h>. kevent(2) is one ioctl, whose structure is: two counts, the time-out, flags, and the changes; the
 * events take its place. It carries at most IPCFS_RECORDS changes and as many events, so a longer change list is applied in several
 * calls, and one call returns no more events than that.
 */
#ifndef IPCFS_KQUEUE_H
#define IPCFS_KQUEUE_H

#include <dirent.h>
#include <ipcfs/mount.h>
#include <ipcfs/record.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IPCFS_RECORDS 255

/* The server's own numbers: the handle of an open file, and kevent(2). */
#define IPCFS_GET_HANDLE _IOR('K', 1, uint64_t)
#define IPCFS_KEVENT(bytes) _IOC(_IOC_READ | _IOC_WRITE, 'K', 2, (bytes))

#define IPCFS_HAS_TIMEOUT 1
#define IPCFS_CHANGES_GO_ON 2

struct ipcfs_kevent_head {
	int32_t change_count;
	int32_t event_count;
	int64_t seconds;
	int64_t nanoseconds;
	uint32_t flags;
	uint32_t reserved;
};

/* Whether the directory entry `name` of /proc/self/fd is a kqueue. Only files of its name are asked. */
static __inline__ int ipcfs_is_kqueue(const char *name)
{
	static const char kqueue_name[] = "/kqueue.bin";
	char link[64], path[IPCFS_PATH_BYTES];
	const char *at;
	uint64_t handle;
	ssize_t length;

	snprintf(link, sizeof link, "/proc/self/fd/%s", name);
	length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return 0;
	path[length] = '\0';
	at = strrchr(path, '/');
	if (at == NULL || strncmp(at, kqueue_name, sizeof kqueue_name - 1) != 0)
		return 0;
	return ioctl(atoi(name), IPCFS_GET_HANDLE, &handle) == 0;
}

/* In the child of a fork: a kqueue is not inherited, whatever number it has. */
IPCFS_SHARED void ipcfs_close_kqueues(void)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	int error = errno;

	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL)
		if (ipcfs_is_kqueue(entry->d_name))
			close(atoi(entry->d_name));
	closedir(directory);
	errno = error;
}

static __inline__ int ipcfs_read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t count;

	if (fd < 0)
		return -1;
	count = read(fd, text, size - 1);
	close(fd);
	if (count < 0)
		return -1;
	text[count] = '\0';
	return 0;
}

/*
 * Lets the server look at descriptors of this process, which it has to for idents that are descriptors. Only a server of this very user
 * needs it, and only where Yama restricts tracing to parents.
 */
IPCFS_SHARED void ipcfs_admit_server(void)
{
#ifdef PR_SET_PTRACER
	char text[256], path[IPCFS_PATH_BYTES];
	struct stat status;
	const char *at;

	if (ipcfs_read_file("/proc/sys/kernel/yama/ptrace_scope", text, sizeof text) < 0 || text[0] != '1')
		return;
	if (ipcfs_path(path, "info/version.json") < 0 || ipcfs_read_file(path, text, sizeof text) < 0)
		return;
	at = strstr(text, "\"pid\":");
	if (at == NULL)
		return;
	snprintf(path, sizeof path, "/proc/%ld", strtol(at + 6, NULL, 10));
	if (stat(path, &status) == 0 && status.st_uid != 0 && status.st_uid == geteuid())
		prctl(PR_SET_PTRACER, strtoul(at + 6, NULL, 10), 0, 0, 0);
#endif
}

IPCFS_SHARED int ipcfs_is_admitted;

static __inline__ void ipcfs_begin_child(void)
{
	ipcfs_is_admitted = 0;
	ipcfs_close_kqueues();
}

IPCFS_SHARED void ipcfs_watch_forks(void)
{
	pthread_atfork(NULL, NULL, ipcfs_begin_child);
}

IPCFS_SHARED pthread_once_t ipcfs_forks = PTHREAD_ONCE_INIT;

/* NetBSD's kqueue1: `flags` may have O_NONBLOCK, and O_CLOEXEC, which every kqueue has here. */
static __inline__ int kqueue1(int flags)
{
	int fd = ipcfs_open("kqueue.bin", O_RDWR | (flags & O_NONBLOCK));

	if (fd < 0)
		return -1;
	pthread_once(&ipcfs_forks, ipcfs_watch_forks);
	if (!ipcfs_is_admitted) {
		int error = errno;

		ipcfs_is_admitted = 1;
		ipcfs_admit_server();
		errno = error;
	}
	return fd;
}

static __inline__ int kqueue(void)
{
	return kqueue1(0);
}

/* One ioctl. `room` and `change_count` are IPCFS_RECORDS at most. The number of records, or -1. */
static __inline__ int ipcfs_kevent_once(int kq, const struct kevent *changes, int change_count, struct kevent *events,
    int room, const struct timespec *timeout, uint32_t flags)
{
	int largest = change_count >= room ? change_count + 1 : room;
	size_t bytes = (size_t)(largest > 0 ? largest : 1) * sizeof(struct ipcfs_record);
	/* The head is as long as a record. */
	struct ipcfs_record *records = (struct ipcfs_record *)__builtin_alloca(bytes);
	struct ipcfs_kevent_head head;
	int index, count;

	memset(&head, 0, sizeof head);
	head.change_count = change_count;
	head.event_count = room;
	head.flags = flags;
	if (timeout != NULL) {
		head.seconds = timeout->tv_sec;
		head.nanoseconds = timeout->tv_nsec;
		head.flags |= IPCFS_HAS_TIMEOUT;
	}
	memcpy(records, &head, sizeof head);
	for (index = 0; index < change_count; index++)
		ipcfs_change_to_record(&changes[index], &records[index + 1]);
	count = ioctl(kq, IPCFS_KEVENT(bytes), records);
	if (count < 0 && errno == ENOTTY)
		errno = EBADF;
	for (index = 0; index < count; index++)
		ipcfs_record_to_event(&records[index], &events[index]);
	return count;
}

/* kevent(2): the number of events, 0 when the time has passed, or -1 with errno. */
static __inline__ int kevent(int kq, const struct kevent *changelist, ipcfs_count nchanges, struct kevent *eventlist,
    ipcfs_count nevents, const struct timespec *timeout)
{
	const long change_total = (long)nchanges, room_total = (long)nevents;
	long applied = 0, stored = 0;

	if (change_total < 0 || room_total < 0) {
		errno = EINVAL;
		return -1;
	}
	if ((change_total > 0 && changelist == NULL) || (room_total > 0 && eventlist == NULL)) {
		errno = EFAULT;
		return -1;
	}
	for (;;) {
		const long left = change_total - applied, room = room_total - stored;
		const int part = (int)(left < IPCFS_RECORDS ? left : IPCFS_RECORDS);
		const int is_last = left <= IPCFS_RECORDS;
		const int collects = is_last && stored == 0;
		const int count = ipcfs_kevent_once(kq, part > 0 ? changelist + applied : NULL, part,
		    room > 0 ? eventlist + stored : NULL, (int)(room < IPCFS_RECORDS ? room : IPCFS_RECORDS),
		    collects ? timeout : NULL, collects ? 0U : IPCFS_CHANGES_GO_ON);

		if (count < 0)
			return -1;
		applied += part;
		stored += count;
		if (is_last)
			return (int)stored;
	}
}

#ifdef __cplusplus
}
#endif

#endif
