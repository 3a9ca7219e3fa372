/* A program watches what it has open outside of the mount: a socket, a pipe, and a file. Argument: a file that it may write. */
#include <sys/event.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static const struct timespec soon = { 5, 0 };

static int watch(int kq, int fd, int filter, unsigned int fflags)
{
	struct kevent ev;

	EV_SET(&ev, fd, filter, EV_ADD | EV_CLEAR, fflags, 0, NULL);
	return kevent(kq, &ev, 1, NULL, 0, NULL);
}

/* The next event is of this descriptor. */
static int is_next(int kq, int fd, int data, unsigned int fflags)
{
	struct kevent ev;

	return kevent(kq, NULL, 0, &ev, 1, &soon) == 1 && ev.ident == (uintptr_t)fd && ev.data == data && ev.fflags == fflags;
}

int main(int argc, char **argv)
{
	const int kq = kqueue();
	int pair[2], ends[2], file;

	CHECK(argc == 2 && kq >= 0);
	if (check_failures > 0)
		return check_end();
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	CHECK(watch(kq, pair[0], EVFILT_READ, 0) == 0);
	CHECK(write(pair[1], "abc", 3) == 3);
	CHECK(is_next(kq, pair[0], 3, 0));
	CHECK(pipe(ends) == 0);
	CHECK(watch(kq, ends[0], EVFILT_READ, 0) == 0);
	CHECK(write(ends[1], "ab", 2) == 2);
	CHECK(is_next(kq, ends[0], 2, 0));
	file = open(argv[1], O_RDWR);
	CHECK(file >= 0);
	CHECK(watch(kq, file, EVFILT_VNODE, NOTE_WRITE) == 0);
	CHECK(write(file, "a", 1) == 1);
	CHECK(is_next(kq, file, 0, NOTE_WRITE | NOTE_EXTEND));
	FAILS(watch(kq, 999, EVFILT_READ, 0), EBADF);
	return check_end();
}
