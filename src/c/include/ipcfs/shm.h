/*
 * The functions of <sys/shm.h>. shm/ctl takes requests and answers them; an attachment is a mapping of shm/id/N. Its descriptor stays open
 * until shmdt: the server hears of both ends at once then, and need not look into /proc to know which attachment is gone. A program
 * that closes descriptors it does not know does no harm.
 */
#ifndef IPCFS_SHM_H
#define IPCFS_SHM_H

#include <ipcfs/mount.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef SHM_REMAP
#define SHM_REMAP 040000
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define IPCFS_ANSWER_BYTES 1024

struct ipcfs_attachment {
	struct ipcfs_attachment *next;
	const void *address;
	size_t size;
	int id;
	int fd;
};

/* The least number of a descriptor that stays open, away from those that programs count on. */
#define IPCFS_LEAST_DESCRIPTOR 100

IPCFS_SHARED struct ipcfs_attachment *ipcfs_attachments;
IPCFS_SHARED pthread_mutex_t ipcfs_attachments_lock = PTHREAD_MUTEX_INITIALIZER;
IPCFS_SHARED pthread_once_t ipcfs_attachments_forks = PTHREAD_ONCE_INIT;

IPCFS_SHARED void ipcfs_lock_attachments(void)
{
	pthread_mutex_lock(&ipcfs_attachments_lock);
}

IPCFS_SHARED void ipcfs_unlock_attachments(void)
{
	pthread_mutex_unlock(&ipcfs_attachments_lock);
}

/* A fork must not find the table half changed. */
IPCFS_SHARED void ipcfs_guard_attachments(void)
{
	pthread_atfork(ipcfs_lock_attachments, ipcfs_unlock_attachments, ipcfs_unlock_attachments);
}

/* The errno that an answer names: `error ENOENT ...`. */
static __inline__ int ipcfs_errno_of(const char *answer)
{
	static const struct {
		const char *name;
		int number;
	} errors[] = {
		{ "EPERM", EPERM }, { "ENOENT", ENOENT }, { "EINTR", EINTR }, { "EIO", EIO }, { "EAGAIN", EAGAIN },
		{ "ENOMEM", ENOMEM }, { "EACCES", EACCES }, { "EFAULT", EFAULT }, { "EBUSY", EBUSY }, { "EEXIST", EEXIST },
		{ "EINVAL", EINVAL }, { "ENFILE", ENFILE }, { "EMFILE", EMFILE }, { "EFBIG", EFBIG }, { "ENOSPC", ENOSPC },
		{ "ERANGE", ERANGE }, { "ENOSYS", ENOSYS }, { "EIDRM", EIDRM }, { "EOPNOTSUPP", EOPNOTSUPP },
		{ "EDQUOT", EDQUOT }
	};
	const size_t length = strcspn(answer, " \n");
	size_t index;

	for (index = 0; index < sizeof errors / sizeof errors[0]; index++)
		if (strlen(errors[index].name) == length && strncmp(answer, errors[index].name, length) == 0)
			return errors[index].number;
	return EIO;
}

/* Sends a request to shm/ctl: 0 with the answer's words in `answer` of IPCFS_ANSWER_BYTES, or -1 with the errno that it names. */
static __inline__ int ipcfs_ask(const char *request, char *answer)
{
	static const char failed[] = "error ";
	int fd = ipcfs_open("shm/ctl", O_RDWR);
	int error = 0;
	ssize_t length = -1;

	if (fd < 0)
		return -1;
	if (write(fd, request, strlen(request)) >= 0)
		length = read(fd, answer, IPCFS_ANSWER_BYTES - 1);
	if (length < 0)
		error = errno;
	close(fd);
	if (length >= 0) {
		answer[length] = '\0';
		if (strncmp(answer, failed, sizeof failed - 1) == 0)
			error = ipcfs_errno_of(answer + sizeof failed - 1);
		else if (strncmp(answer, "ok", 2) != 0)
			error = EIO;
	}
	errno = error != 0 ? error : errno;
	return error != 0 ? -1 : 0;
}

static __inline__ unsigned long long ipcfs_field(const char *answer, const char *name, int base)
{
	const char *at = strstr(answer, name);

	return at == NULL ? 0 : strtoull(at + strlen(name), NULL, base);
}

IPCFS_SHARED int shmget(key_t key, size_t size, int flags) IPCFS_THROW
{
	char request[160], answer[IPCFS_ANSWER_BYTES], name[24];

	if (key == IPC_PRIVATE)
		snprintf(name, sizeof name, "private");
	else
		snprintf(name, sizeof name, "%u", (unsigned int)key);
	snprintf(request, sizeof request, "get %s %llu%s%s %o\n", name, (unsigned long long)size,
	    (flags & IPC_CREAT) != 0 ? " create" : "", (flags & IPC_EXCL) != 0 ? " excl" : "",
	    (unsigned int)flags & 0777U);
	if (ipcfs_ask(request, answer) < 0)
		return -1;
	return atoi(answer + 3);
}

/* Maps the segment behind `fd` where shmat wants it; MAP_FAILED with errno. */
static __inline__ void *ipcfs_map(int fd, const void *wanted, int flags, size_t *size)
{
	const uintptr_t offset = (uintptr_t)wanted % (uintptr_t)sysconf(_SC_PAGESIZE);
	const int protection = (flags & SHM_RDONLY) != 0 ? PROT_READ : PROT_READ | PROT_WRITE;
	struct stat status;
	int place = MAP_SHARED;
	void *address;

	if ((offset != 0 && (flags & SHM_RND) == 0) || (wanted == NULL && (flags & SHM_REMAP) != 0)) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	if (fstat(fd, &status) < 0)
		return MAP_FAILED;
	*size = (size_t)status.st_size;
	if (wanted != NULL)
		place |= (flags & SHM_REMAP) != 0 ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	address = mmap((void *)((uintptr_t)wanted - offset), *size, protection, place, fd, 0);
	if (address == MAP_FAILED && errno == EEXIST)
		errno = EINVAL;
	return address;
}

/* Opens a segment for an attachment; a descriptor out of the way, or -1. */
static __inline__ int ipcfs_open_segment(int id, int flags)
{
	char name[40];
	int fd, high;

	snprintf(name, sizeof name, "shm/id/%d", id);
	fd = id < 0 ? -1 : ipcfs_open(name, (flags & SHM_RDONLY) != 0 ? O_RDONLY : O_RDWR);
	if (fd < 0) {
		if (id < 0 || errno == ENOENT)
			errno = EINVAL;
		return -1;
	}
	high = fcntl(fd, F_DUPFD_CLOEXEC, IPCFS_LEAST_DESCRIPTOR);
	if (high < 0)
		return fd;
	close(fd);
	return high;
}

/* Closes the descriptor of an attachment, if the program has not done so and used the number for another file. */
static __inline__ void ipcfs_close_segment(int id, int fd)
{
	char link[64], name[40], path[IPCFS_PATH_BYTES];
	const char *at;
	ssize_t length;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return;
	path[length] = '\0';
	snprintf(name, sizeof name, "/shm/id/%d", id);
	at = strstr(path, name);
	/* A file without a name has a remark behind it. */
	if (at != NULL && (at[strlen(name)] == '\0' || at[strlen(name)] == ' '))
		close(fd);
}

IPCFS_SHARED void *shmat(int id, const void *wanted, int flags) IPCFS_THROW
{
	struct ipcfs_attachment *attachment;
	void *address;
	int fd = ipcfs_open_segment(id, flags);

	if (fd < 0)
		return (void *)-1;
	pthread_once(&ipcfs_attachments_forks, ipcfs_guard_attachments);
	attachment = (struct ipcfs_attachment *)malloc(sizeof *attachment);
	address = attachment == NULL ? MAP_FAILED : ipcfs_map(fd, wanted, flags, &attachment->size);
	if (address == MAP_FAILED) {
		int error = errno;

		close(fd);
		free(attachment);
		errno = error;
		return (void *)-1;
	}
	attachment->address = address;
	attachment->id = id;
	attachment->fd = fd;
	ipcfs_lock_attachments();
	attachment->next = ipcfs_attachments;
	ipcfs_attachments = attachment;
	ipcfs_unlock_attachments();
	return address;
}

IPCFS_SHARED int shmdt(const void *address) IPCFS_THROW
{
	struct ipcfs_attachment **at, *attachment;
	int result;

	ipcfs_lock_attachments();
	at = &ipcfs_attachments;
	while (*at != NULL && (*at)->address != address)
		at = &(*at)->next;
	attachment = *at;
	if (attachment != NULL)
		*at = attachment->next;
	ipcfs_unlock_attachments();
	if (attachment == NULL) {
		errno = EINVAL;
		return -1;
	}
	result = munmap((void *)(uintptr_t)address, attachment->size);
	ipcfs_close_segment(attachment->id, attachment->fd);
	free(attachment);
	return result;
}

static __inline__ void ipcfs_fill_status(const char *answer, struct shmid_ds *status)
{
	memset(status, 0, sizeof *status);
#ifdef __GLIBC__
	status->shm_perm.__key = (key_t)ipcfs_field(answer, " key=", 16);
#else
	status->shm_perm.__ipc_perm_key = (key_t)ipcfs_field(answer, " key=", 16);
#endif
	status->shm_perm.mode = (unsigned short)ipcfs_field(answer, " mode=", 8);
	status->shm_perm.uid = (uid_t)ipcfs_field(answer, " uid=", 10);
	status->shm_perm.gid = (gid_t)ipcfs_field(answer, " gid=", 10);
	status->shm_perm.cuid = (uid_t)ipcfs_field(answer, " cuid=", 10);
	status->shm_perm.cgid = (gid_t)ipcfs_field(answer, " cgid=", 10);
	status->shm_segsz = (size_t)ipcfs_field(answer, " size=", 10);
	status->shm_nattch = (shmatt_t)ipcfs_field(answer, " nattch=", 10);
	status->shm_cpid = (pid_t)ipcfs_field(answer, " cpid=", 10);
	status->shm_lpid = (pid_t)ipcfs_field(answer, " lpid=", 10);
	status->shm_atime = (time_t)ipcfs_field(answer, " atime=", 10);
	status->shm_dtime = (time_t)ipcfs_field(answer, " dtime=", 10);
	status->shm_ctime = (time_t)ipcfs_field(answer, " ctime=", 10);
}

IPCFS_SHARED int shmctl(int id, int command, struct shmid_ds *status) IPCFS_THROW
{
	char request[160], answer[IPCFS_ANSWER_BYTES];

	if (id < 0) {
		errno = EINVAL;
		return -1;
	}
	if ((command == IPC_STAT || command == IPC_SET) && status == NULL) {
		errno = EFAULT;
		return -1;
	}
	switch (command) {
	case IPC_STAT:
		snprintf(request, sizeof request, "stat %d\n", id);
		break;
	case IPC_SET:
		snprintf(request, sizeof request, "set %d uid=%lu gid=%lu mode=%o\n", id,
		    (unsigned long)status->shm_perm.uid, (unsigned long)status->shm_perm.gid,
		    (unsigned int)status->shm_perm.mode & 0777U);
		break;
	case IPC_RMID:
		snprintf(request, sizeof request, "rmid %d\n", id);
		break;
#ifdef SHM_LOCK
	case SHM_LOCK:
		snprintf(request, sizeof request, "lock %d\n", id);
		break;
	case SHM_UNLOCK:
		snprintf(request, sizeof request, "unlock %d\n", id);
		break;
#endif
	default:
		errno = EINVAL;
		return -1;
	}
	if (ipcfs_ask(request, answer) < 0)
		return -1;
	if (command == IPC_STAT)
		ipcfs_fill_status(answer, status);
	return 0;
}

#ifdef __cplusplus
}
#endif

#endif
