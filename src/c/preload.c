/* The library of `ipcfs run --preload`: functions of the C library over the mount, for programs that are compiled already. */
#define _GNU_SOURCE
#include <sys/shm.h>

#ifdef IPCFS_PRELOAD_PIPES
#include <ipcfs/pipe.h>
#endif
