/* kqueue(2) and kevent(2) through the header. Argument: a named pipe of the mount. */
#include <sys/event.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#ifdef __cplusplus
extern "C"
#endif
int second_file(void);

#define MANY 600

static const struct timespec now = { 0, 0 };
static struct kevent many[MANY], got[MANY];

static int change(int kq, uintptr_t ident, int filter, int flags, unsigned int fflags)
{
	struct kevent ev;

	EV_SET(&ev, ident, filter, flags, fflags, 0, NULL);
	return kevent(kq, &ev, 1, NULL, 0, NULL);
}

static void test_user_events(int kq)
{
	struct kevent ev;
	int token;

	EV_SET(&ev, 7, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, &token);
	CHECK(kevent(kq, &ev, 1, NULL, 0, NULL) == 0);
	CHECK(kevent(kq, NULL, 0, &ev, 1, &now) == 0);
	/* One array for changes and events. */
	EV_SET(&ev, 7, EVFILT_USER, 0, NOTE_FFCOPY | NOTE_TRIGGER | 5, 0, &token);
	CHECK(kevent(kq, &ev, 1, &ev, 1, NULL) == 1);
	CHECK(ev.ident == 7 && ev.filter == EVFILT_USER && ev.fflags == 5 && ev.udata == &token);
	CHECK(change(kq, 7, EVFILT_USER, EV_DELETE, 0) == 0);
}

static void test_errors(int kq)
{
	struct kevent ev, out[2];
	int fds[2];

	EV_SET(&ev, 99, EVFILT_USER, EV_DELETE, 0, 0, NULL);
	FAILS(kevent(kq, &ev, 1, NULL, 0, NULL), ENOENT);
	CHECK(kevent(kq, &ev, 1, out, 2, NULL) == 1);
	CHECK(out[0].flags == EV_ERROR && out[0].data == ENOENT && out[0].ident == 99);
	FAILS(kevent(-1, NULL, 0, out, 1, &now), EBADF);
	CHECK(pipe(fds) == 0);
	FAILS(kevent(fds[0], NULL, 0, out, 1, &now), EBADF);
	close(fds[0]);
	close(fds[1]);
	FAILS(kevent(kq, NULL, -1, NULL, 0, &now), EINVAL);
	FAILS(kevent(kq, NULL, 1, NULL, 0, &now), EFAULT);
}

static void test_long_lists(int kq)
{
	int i, count, total = 0;

	for (i = 0; i < MANY; i++)
		EV_SET(&many[i], i, EVFILT_USER, EV_ADD | EV_CLEAR | EV_RECEIPT, 0, 0, NULL);
	CHECK(kevent(kq, many, MANY, got, MANY, NULL) == MANY);
	for (i = 0; i < MANY; i++) {
		CHECK(got[i].ident == (uintptr_t)i && got[i].flags == EV_ERROR && got[i].data == 0);
		EV_SET(&many[i], i, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
	}
	CHECK(kevent(kq, many, MANY, NULL, 0, NULL) == 0);
	/* An error in the middle, with room: a record, and all other changes. */
	many[300].ident = MANY + 1;
	CHECK(kevent(kq, many, MANY, got, MANY, NULL) == 1);
	CHECK(got[0].ident == MANY + 1 && got[0].data == ENOENT);
	while ((count = kevent(kq, NULL, 0, got, MANY, &now)) > 0)
		total += count;
	CHECK(total == MANY);
	for (i = 0; i < MANY; i++)
		EV_SET(&many[i], i, EVFILT_USER, EV_DELETE, 0, 0, NULL);
	CHECK(kevent(kq, many, MANY, NULL, 0, NULL) == 0);
}

static void test_pipe(int kq, const char *path)
{
	struct kevent ev;
	int fd = open(path, O_RDWR);

	CHECK(fd >= 0);
	CHECK(change(kq, fd, EVFILT_READ, EV_ADD, 0) == 0);
	CHECK(kevent(kq, NULL, 0, &ev, 1, &now) == 0);
	CHECK(write(fd, "12345", 5) == 5);
	CHECK(kevent(kq, NULL, 0, &ev, 1, NULL) == 1);
	CHECK(ev.ident == (uintptr_t)fd && ev.filter == EVFILT_READ && ev.data == 5);
	close(fd);
	CHECK(kevent(kq, NULL, 0, &ev, 1, &now) == 0);
}

static void test_time_out(int kq)
{
	const struct timespec tenth = { 0, 100000000 };
	struct timespec before, after;
	struct kevent ev;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &before);
	CHECK(kevent(kq, NULL, 0, &ev, 1, &tenth) == 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	seconds = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
	CHECK(seconds >= 0.1);
}

static void on_alarm(int number)
{
	(void)number;
}

static void test_signal_interrupts(int kq)
{
	const struct itimerval soon = { { 0, 50000 }, { 0, 50000 } }, off = { { 0, 0 }, { 0, 0 } };
	struct sigaction action;
	struct kevent ev;

	memset(&action, 0, sizeof action);
	action.sa_handler = on_alarm;
	action.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	FAILS(kevent(kq, NULL, 0, &ev, 1, NULL), EINTR);
	setitimer(ITIMER_REAL, &off, NULL);
}

/* A kqueue and its duplicate: closed in a child, open in the parent. The child has kqueues of its own. */
static void test_fork(int kq)
{
	const int copy = dup(kq);
	struct kevent ev;
	int status = -1;
	pid_t child;

	CHECK(copy >= 0);
	CHECK((fcntl(kq, F_GETFD) & FD_CLOEXEC) != 0);
	child = fork();
	if (child == 0) {
		int own;

		FAILS(kevent(kq, NULL, 0, &ev, 1, &now), EBADF);
		FAILS(fcntl(kq, F_GETFD), EBADF);
		FAILS(fcntl(copy, F_GETFD), EBADF);
		own = kqueue();
		CHECK(change(own, 1, EVFILT_USER, EV_ADD, 0) == 0);
		CHECK(change(own, 1, EVFILT_USER, 0, NOTE_TRIGGER) == 0);
		CHECK(kevent(own, NULL, 0, &ev, 1, NULL) == 1);
		_exit(check_end());
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(change(copy, 1, EVFILT_USER, EV_ADD | EV_ONESHOT, 0) == 0);
	CHECK(change(copy, 1, EVFILT_USER, 0, NOTE_TRIGGER) == 0);
	CHECK(kevent(kq, NULL, 0, &ev, 1, &now) == 1);
	close(copy);
	CHECK(kevent(kq, NULL, 0, &ev, 1, &now) == 0);
}

/* A duplicate goes on when the first descriptor is closed. */
static void test_dup(void)
{
	const int kq = kqueue(), copy = dup(kq);
	struct kevent ev;

	CHECK(change(kq, 1, EVFILT_USER, EV_ADD, 0) == 0);
	close(kq);
	CHECK(change(copy, 1, EVFILT_USER, 0, NOTE_TRIGGER) == 0);
	CHECK(kevent(copy, NULL, 0, &ev, 1, &now) == 1);
	close(copy);
}

/* What has happened before the call is seen by it. */
static void test_before_call(int kq, int rounds)
{
	struct kevent ev;
	int i, missed = 0;

	signal(SIGUSR1, SIG_IGN);
	CHECK(change(kq, SIGUSR1, EVFILT_SIGNAL, EV_ADD, 0) == 0);
	for (i = 0; i < rounds; i++) {
		kill(getpid(), SIGUSR1);
		missed += kevent(kq, NULL, 0, &ev, 1, &now) != 1;
	}
	CHECK(missed == 0);
	CHECK(change(kq, SIGUSR1, EVFILT_SIGNAL, EV_DELETE, 0) == 0);
	for (i = missed = 0; i < rounds; i++) {
		pid_t child = fork();

		if (child == 0) {
			pause();
			_exit(0);
		}
		CHECK(change(kq, child, EVFILT_PROC, EV_ADD, NOTE_EXIT) == 0);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		missed += kevent(kq, NULL, 0, &ev, 1, &now) != 1 || ev.ident != (uintptr_t)child;
	}
	CHECK(missed == 0);
}

static void *trigger(void *kq)
{
	struct kevent ev;

	EV_SET(&ev, 3, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
	return kevent(*(int *)kq, &ev, 1, NULL, 0, NULL) == 0 ? kq : NULL;
}

static void test_threads(int kq)
{
	struct kevent ev;
	pthread_t thread;
	void *result;

	CHECK(change(kq, 3, EVFILT_USER, EV_ADD | EV_ONESHOT, 0) == 0);
	pthread_create(&thread, NULL, trigger, &kq);
	CHECK(kevent(kq, NULL, 0, &ev, 1, NULL) == 1 && ev.ident == 3);
	pthread_join(thread, &result);
	CHECK(result == &kq);
}

int main(int argc, char **argv)
{
	const int kq = kqueue();

	CHECK(argc == 3 && kq >= 0);
	if (check_failures > 0)
		return check_end();
	test_user_events(kq);
	test_errors(kq);
	test_long_lists(kq);
	test_pipe(kq, argv[1]);
	test_time_out(kq);
	test_signal_interrupts(kq);
	test_fork(kq);
	test_dup();
	test_before_call(kq, atoi(argv[2]));
	test_threads(kq);
	CHECK(second_file() == 0);
	return check_end();
}
