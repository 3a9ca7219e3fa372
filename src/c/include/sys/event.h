/*
 * kqueue(2) and kevent(2) over a mount of ipcfs. Compile with `cc $(ipcfs cflags) program.c`; 'ipcfs help c' says more.
 *
 * The interface is DragonFly's. IPCFS_FREEBSD and IPCFS_NETBSD choose the other two: their struct kevent, numbers of filters, units of
 * timers, and events without the bits of actions (EV_ADD and so on). All files of a program that pass struct kevent around choose alike.
 */
#ifndef IPCFS_SYS_EVENT_H
#define IPCFS_SYS_EVENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#if defined(IPCFS_NETBSD)
#define EVFILT_READ 0U
#define EVFILT_WRITE 1U
#define EVFILT_AIO 2U
#define EVFILT_VNODE 3U
#define EVFILT_PROC 4U
#define EVFILT_SIGNAL 5U
#define EVFILT_TIMER 6U
#define EVFILT_FS 7U
#define EVFILT_USER 8U
#define EVFILT_EMPTY 9U
#define EVFILT_SYSCOUNT 10U
#elif defined(IPCFS_FREEBSD)
#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_AIO (-3)
#define EVFILT_VNODE (-4)
#define EVFILT_PROC (-5)
#define EVFILT_SIGNAL (-6)
#define EVFILT_TIMER (-7)
#define EVFILT_PROCDESC (-8)
#define EVFILT_FS (-9)
#define EVFILT_LIO (-10)
#define EVFILT_USER (-11)
#define EVFILT_SENDFILE (-12)
#define EVFILT_EMPTY (-13)
#define EVFILT_SYSCOUNT 13
#else
#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_AIO (-3)
#define EVFILT_VNODE (-4)
#define EVFILT_PROC (-5)
#define EVFILT_SIGNAL (-6)
#define EVFILT_TIMER (-7)
#define EVFILT_EXCEPT (-8)
#define EVFILT_USER (-9)
#define EVFILT_SYSCOUNT 9
#endif

#if defined(IPCFS_NETBSD)
struct kevent {
	uintptr_t ident;
	uint32_t filter;
	uint32_t flags;
	uint32_t fflags;
	int64_t data;
	void *udata;
};
typedef size_t ipcfs_count;
#elif defined(IPCFS_FREEBSD)
struct kevent {
	uintptr_t ident;
	short filter;
	unsigned short flags;
	unsigned int fflags;
	int64_t data;
	void *udata;
	uint64_t ext[4];
};
typedef int ipcfs_count;
#else
struct kevent {
	uintptr_t ident;
	short filter;
	unsigned short flags;
	unsigned int fflags;
	intptr_t data;
	void *udata;
};
typedef int ipcfs_count;
#endif

/* As the values of a whole struct: each argument is evaluated once, and any type of pointer or integer is taken. */
#if defined(IPCFS_FREEBSD)
#define IPCFS_CLEAR_EXT(kev) ((kev)->ext[0] = (kev)->ext[1] = (kev)->ext[2] = (kev)->ext[3] = 0)
#else
#define IPCFS_CLEAR_EXT(kev) ((void)0)
#endif
#define EV_SET(kevp, id, filt, fl, ffl, dat, ud) \
	do { \
		struct kevent *ipcfs_kevp = (kevp); \
		ipcfs_kevp->ident = (uintptr_t)(id); \
		ipcfs_kevp->filter = (filt); \
		ipcfs_kevp->flags = (fl); \
		ipcfs_kevp->fflags = (ffl); \
		ipcfs_kevp->data = (dat); \
		ipcfs_kevp->udata = (void *)(uintptr_t)(ud); \
		IPCFS_CLEAR_EXT(ipcfs_kevp); \
	} while (0)

/* Actions. */
#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_DISABLE 0x0008

/* Flags. */
#define EV_ONESHOT 0x0010
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_DISPATCH 0x0080
#define EV_SYSFLAGS 0xF000
#define EV_FLAG1 0x2000

/* What events say. */
#define EV_ERROR 0x4000
#define EV_EOF 0x8000
#if !defined(IPCFS_FREEBSD) && !defined(IPCFS_NETBSD)
#define EV_NODATA 0x1000
#endif

/* EVFILT_READ, EVFILT_WRITE. */
#define NOTE_LOWAT 0x0001
#if !defined(IPCFS_FREEBSD) && !defined(IPCFS_NETBSD)
/* EVFILT_EXCEPT. */
#define NOTE_OOB 0x0002
#endif

/* EVFILT_VNODE. */
#define NOTE_DELETE 0x0001
#define NOTE_WRITE 0x0002
#define NOTE_EXTEND 0x0004
#define NOTE_ATTRIB 0x0008
#define NOTE_LINK 0x0010
#define NOTE_RENAME 0x0020
#define NOTE_REVOKE 0x0040

/* EVFILT_PROC. */
#define NOTE_EXIT 0x80000000U
#define NOTE_FORK 0x40000000U
#define NOTE_EXEC 0x20000000U
#define NOTE_PCTRLMASK 0xf0000000U
#define NOTE_PDATAMASK 0x000fffffU
#define NOTE_TRACK 0x00000001U
#define NOTE_TRACKERR 0x00000002U
#define NOTE_CHILD 0x00000004U

/* EVFILT_USER. */
#define NOTE_FFNOP 0x00000000U
#define NOTE_FFAND 0x40000000U
#define NOTE_FFOR 0x80000000U
#define NOTE_FFCOPY 0xc0000000U
#define NOTE_FFCTRLMASK 0xc0000000U
#define NOTE_FFLAGSMASK 0x00ffffffU
#define NOTE_TRIGGER 0x01000000U

#if defined(IPCFS_NETBSD)
/* EVFILT_TIMER: units of data, one of four values. */
#define NOTE_MSECONDS 0x00000000U
#define NOTE_SECONDS 0x00000001U
#define NOTE_USECONDS 0x00000002U
#define NOTE_NSECONDS 0x00000003U
#define NOTE_ABSTIME 0x00000010U
#elif defined(IPCFS_FREEBSD)
/* EVFILT_TIMER: units of data, a bit each. */
#define NOTE_SECONDS 0x00000001U
#define NOTE_MSECONDS 0x00000002U
#define NOTE_USECONDS 0x00000004U
#define NOTE_NSECONDS 0x00000008U
#define NOTE_ABSTIME 0x00000010U
#endif

#include <ipcfs/kqueue.h>

#endif
