/* <unistd.h> with pipe() and pipe2() over a mount of ipcfs: for programs that are compiled with `ipcfs cflags --pipes`. */
#ifndef IPCFS_UNISTD_H
#define IPCFS_UNISTD_H

/* The compiler would warn of the next line in any other header. */
#pragma GCC system_header
#include_next <unistd.h>

#define IPCFS_PIPES
#include <ipcfs/mount.h>

#endif
