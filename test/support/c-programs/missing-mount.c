/* Every function fails with ENOENT where nothing is mounted. */
#include <sys/event.h>
#include <sys/shm.h>

#include "check.h"

int main(void)
{
	FAILS(kqueue(), ENOENT);
	FAILS(kqueue(), ENOENT);
	FAILS(shmget(1, 1, IPC_CREAT), ENOENT);
	return check_end();
}
