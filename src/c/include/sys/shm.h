/*
 * shmget(2), shmat(2), shmdt(2) and shmctl(2) over a mount of ipcfs, with the types and numbers of the system's own header. The program's
 * functions take the place of the C library's, also for the libraries that it uses.
 */
#ifndef IPCFS_SYS_SHM_H
#define IPCFS_SYS_SHM_H

/* The compiler would warn of the next line in any other header. */
#pragma GCC system_header
#include_next <sys/shm.h>

#include <ipcfs/shm.h>

#endif
