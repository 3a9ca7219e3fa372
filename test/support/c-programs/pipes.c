/* pipe(2) and pipe2(2) through the header. */
#include <unistd.h>

#include <fcntl.h>
#include <sys/event.h>
#include <sys/wait.h>

#include "check.h"

#ifndef __cplusplus
int pipe2(int fds[2], int flags);
#endif

int main(void)
{
	const struct timespec now = { 0, 0 };
	struct kevent ev;
	char text[16];
	int fds[2], kq, status = -1;
	pid_t child;

	CHECK(pipe(fds) == 0);
	CHECK((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) == 0);
	CHECK(write(fds[0], "there", 5) == 5 && read(fds[1], text, sizeof text) == 5);
	CHECK(write(fds[1], "and back", 8) == 8 && read(fds[0], text, sizeof text) == 8);
	child = fork();
	if (child == 0) {
		close(fds[0]);
		_exit(write(fds[1], "child", 5) != 5);
	}
	close(fds[1]);
	CHECK(read(fds[0], text, sizeof text) == 5);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(read(fds[0], text, sizeof text) == 0);
	close(fds[0]);

	CHECK(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
	CHECK((fcntl(fds[1], F_GETFD) & FD_CLOEXEC) != 0);
	FAILS(read(fds[0], text, sizeof text), EAGAIN);
	kq = kqueue();
	EV_SET(&ev, fds[0], EVFILT_READ, EV_ADD, 0, 0, NULL);
	CHECK(kevent(kq, &ev, 1, &ev, 1, &now) == 0);
	CHECK(write(fds[1], "event", 5) == 5);
	CHECK(kevent(kq, NULL, 0, &ev, 1, &now) == 1 && ev.data == 5);
	close(fds[0]);
	close(fds[1]);
	FAILS(pipe2(fds, O_APPEND), EINVAL);
	return check_end();
}
