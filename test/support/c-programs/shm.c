/* shmget(2), shmat(2), shmdt(2) and shmctl(2) through the header. Argument: rounds of attach and detach. */
#include <sys/shm.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define KEY 0x1bcf5

static unsigned long attached(int id)
{
	struct shmid_ds status;

	CHECK(shmctl(id, IPC_STAT, &status) == 0);
	return (unsigned long)status.shm_nattch;
}

static void test_status(void)
{
	const int id = shmget(KEY, 5000, IPC_CREAT | IPC_EXCL | 0640);
	struct shmid_ds status;

	CHECK(id >= 0);
	FAILS(shmget(KEY, 100, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	CHECK(shmget(KEY, 100, 0) == id);
	FAILS(shmget(KEY, 5001, 0), EINVAL);
	FAILS(shmget(KEY + 1, 100, 0), ENOENT);
	CHECK(shmctl(id, IPC_STAT, &status) == 0);
	CHECK(status.shm_segsz == 5000 && status.shm_perm.mode == 0640);
	CHECK(status.shm_cpid == getpid() && status.shm_perm.cuid == geteuid());
	CHECK(status.shm_atime == 0 && status.shm_ctime > 0);
	status.shm_perm.mode = 0600;
	CHECK(shmctl(id, IPC_SET, &status) == 0);
	CHECK(shmctl(id, IPC_STAT, &status) == 0 && status.shm_perm.mode == 0600);
	CHECK(shmctl(id, SHM_LOCK, NULL) == 0 && shmctl(id, SHM_UNLOCK, NULL) == 0);
	FAILS(shmctl(id, IPC_STAT, NULL), EFAULT);
	FAILS(shmctl(id, 4711, &status), EINVAL);
	CHECK(shmctl(id, IPC_RMID, NULL) == 0);
	FAILS(shmctl(id, IPC_STAT, &status), EINVAL);
	CHECK(shmat(id, NULL, 0) == (void *)-1 && errno == EINVAL);
}

static void test_addresses(void)
{
	const int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
	char *first = (char *)shmat(id, NULL, 0), *second;

	CHECK(first != (void *)-1);
	memset(first, 0, 8192);
	strcpy(first, "seen");
	second = (char *)shmat(id, NULL, SHM_RDONLY);
	CHECK(second != first && strcmp(second, "seen") == 0);
	CHECK(shmdt(second) == 0);
	FAILS(shmdt(second), EINVAL);
	CHECK(shmat(id, second + 1, 0) == (void *)-1 && errno == EINVAL);
	CHECK(shmat(id, second + 1, SHM_RND) == (void *)second);
	/* Nothing is in the way there, and what is mapped is not replaced unless that is asked for. */
	CHECK(shmat(id, second, 0) == (void *)-1 && errno == EINVAL);
	CHECK(shmat(id, second, SHM_REMAP) == (void *)second);
	CHECK(shmdt(first) == 0);
	CHECK(shmctl(id, IPC_RMID, NULL) == 0);
	CHECK(strcmp(second, "seen") == 0);
	CHECK(shmdt(second) == 0);
}

/* shmdt and waitpid have returned: the count is right. */
static void test_exact_count(int rounds)
{
	const int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
	char *own = (char *)shmat(id, NULL, 0);
	int i, wrong = 0;

	CHECK(attached(id) == 1);
	for (i = 0; i < rounds; i++) {
		void *other = shmat(id, NULL, 0);

		wrong += attached(id) != 2;
		shmdt(other);
		wrong += attached(id) != 1;
	}
	CHECK(wrong == 0);
	for (i = wrong = 0; i < rounds; i++) {
		pid_t child = fork();

		if (child == 0) {
			CHECK(shmat(id, NULL, 0) != (void *)-1);
			if (i % 2 == 0)
				kill(getpid(), SIGKILL);
			_exit(0);
		}
		waitpid(child, NULL, 0);
		wrong += attached(id) != 1;
	}
	CHECK(wrong == 0);
	CHECK(shmdt(own) == 0 && attached(id) == 0);
	CHECK(shmctl(id, IPC_RMID, NULL) == 0);
}

/* A child has its parent's attachments, and detaches its own. */
static void test_fork(void)
{
	const int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	char *memory = (char *)shmat(id, NULL, 0);
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		strcpy(memory, "from the child");
		_exit(shmdt(memory) != 0 || shmdt(memory) == 0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(strcmp(memory, "from the child") == 0);
	CHECK(attached(id) == 1);
	CHECK(shmctl(id, IPC_RMID, NULL) == 0 && shmdt(memory) == 0);
}

/* A program that closes what it does not know, and uses the numbers for other files. */
static void test_closed_descriptors(void)
{
	const int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	void *memory = shmat(id, NULL, 0);
	int fd;

	for (fd = 3; fd < 300; fd++)
		close(fd);
	for (fd = 3; fd < 300; fd++)
		CHECK(dup2(1, fd) == fd);
	CHECK(attached(id) == 1);
	CHECK(shmdt(memory) == 0);
	for (fd = 3; fd < 300; fd++)
		CHECK(close(fd) == 0);
	CHECK(attached(id) == 0);
	CHECK(shmctl(id, IPC_RMID, NULL) == 0);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	if (shmget(KEY, 1, 0) >= 0)
		CHECK(0);
	test_status();
	test_addresses();
	test_exact_count(argc == 2 ? atoi(argv[1]) : 1);
	test_fork();
	test_closed_descriptors();
	return check_end();
}
