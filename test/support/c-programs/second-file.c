/* A second file of a program: what headers define is there once. */
#include <sys/event.h>
#include <sys/shm.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C"
#endif
int second_file(void);

int second_file(void)
{
	int kq = kqueue();
	int id = shmget(IPC_PRIVATE, 100, IPC_CREAT | 0600);

	if (kq < 0 || id < 0)
		return -1;
	return close(kq) + shmctl(id, IPC_RMID, NULL);
}
