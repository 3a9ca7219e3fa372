/* FreeBSD's and NetBSD's spellings of the header: numbers, units of timers, flags of events. */
#include <sys/event.h>

#include <unistd.h>

#include "check.h"

static const struct timespec now = { 0, 0 };

static double seconds_since(const struct timespec *before)
{
	struct timespec after;

	clock_gettime(CLOCK_MONOTONIC, &after);
	return (double)(after.tv_sec - before->tv_sec) + (double)(after.tv_nsec - before->tv_nsec) / 1e9;
}

/* How long a timer of one shot takes. */
static double timer_seconds(int kq, unsigned int fflags, int64_t data)
{
	struct timespec before;
	struct kevent ev;

	clock_gettime(CLOCK_MONOTONIC, &before);
	EV_SET(&ev, 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, fflags, data, NULL);
	CHECK(kevent(kq, &ev, 1, &ev, 1, NULL) == 1);
	CHECK(ev.filter == EVFILT_TIMER && ev.flags == EV_ONESHOT + EV_CLEAR);
	return seconds_since(&before);
}

int main(void)
{
	const int kq = kqueue1(0);
	struct timespec moment;
	struct kevent ev;

	CHECK(kq >= 0);
	EV_SET(&ev, 7, EVFILT_USER, EV_ADD | EV_ENABLE | EV_CLEAR, 0, 0, &ev);
	CHECK(kevent(kq, &ev, 1, NULL, 0, NULL) == 0);
	EV_SET(&ev, 7, EVFILT_USER, 0, NOTE_TRIGGER, 0, &ev);
	CHECK(kevent(kq, &ev, 1, &ev, 1, &now) == 1);
	CHECK(ev.filter == EVFILT_USER && ev.flags == EV_CLEAR && ev.udata == &ev);
	EV_SET(&ev, 3, EVFILT_FS, EV_ADD, 0, 0, NULL);
	CHECK(kevent(kq, &ev, 1, &ev, 1, &now) == 1);
	CHECK(ev.filter == EVFILT_FS && ev.flags == EV_ERROR && ev.data == EINVAL);
	CHECK(timer_seconds(kq, 0, 50) >= 0.05);
	CHECK(timer_seconds(kq, NOTE_MSECONDS, 50) < 1);
	CHECK(timer_seconds(kq, NOTE_USECONDS, 50000) >= 0.05);
	CHECK(timer_seconds(kq, NOTE_NSECONDS, 50000000) < 1);
	CHECK(timer_seconds(kq, NOTE_SECONDS, 1) >= 1);
	clock_gettime(CLOCK_REALTIME, &moment);
	CHECK(timer_seconds(kq, NOTE_SECONDS | NOTE_ABSTIME, moment.tv_sec + 1) <= 1.1);
	return check_end();
}
