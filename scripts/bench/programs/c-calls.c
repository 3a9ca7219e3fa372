/*
 * Times calls of a C program, in microseconds: `c-calls WHAT COUNT`. Compiled with options of `ipcfs cflags --pipes` they go to a mount;
 * compiled with KERNEL they are epoll, and the kernel's own pipes and segments.
 */
#define _GNU_SOURCE
#ifndef KERNEL
#include <sys/event.h>
#else
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEGMENT_BYTES (1024 * 1024)
#define MOST_EVENTS 100

static int queue, source;

#ifndef KERNEL
static const struct timespec no_time = { 0, 0 };

static void make_queue(void)
{
	struct kevent ev;

	queue = kqueue();
	EV_SET(&ev, 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
	if (queue < 0 || kevent(queue, &ev, 1, NULL, 0, NULL) < 0)
		exit(1);
}

static int collect(int room, int waits)
{
	struct kevent events[MOST_EVENTS];

	return kevent(queue, NULL, 0, events, room, waits ? NULL : &no_time);
}

static int trigger_and_collect(void)
{
	struct kevent ev;

	EV_SET(&ev, 1, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
	return kevent(queue, &ev, 1, &ev, 1, &no_time);
}

static void watch(int fd)
{
	struct kevent ev;

	EV_SET(&ev, fd, EVFILT_READ, EV_ADD, 0, 0, NULL);
	if (kevent(queue, &ev, 1, NULL, 0, NULL) < 0)
		exit(1);
}
#else
static void watch(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (epoll_ctl(queue, EPOLL_CTL_ADD, fd, &ev) < 0)
		exit(1);
}

static void make_queue(void)
{
	queue = epoll_create1(0);
	watch(source = eventfd(0, 0));
}

static int collect(int room, int waits)
{
	struct epoll_event events[MOST_EVENTS];

	return epoll_wait(queue, events, room, waits ? -1 : 0);
}

static int trigger_and_collect(void)
{
	uint64_t one = 1;
	int count;

	if (write(source, &one, sizeof one) < 0)
		return -1;
	count = collect(1, 0);
	return read(source, &one, sizeof one) < 0 ? -1 : count;
}
#endif

/* Waits for a byte on one pipe and sends one through the other, in two processes. */
static void ping_pong(int count)
{
	int there[2], back[2], i, is_child;
	char byte = 0;

	if (pipe(there) < 0 || pipe(back) < 0)
		exit(1);
	is_child = fork() == 0;
	/* A kqueue is not inherited. */
	make_queue();
	watch(is_child ? there[0] : back[0]);
	for (i = 0; i < count; i++) {
		if (!is_child && write(there[1], &byte, 1) < 1)
			exit(1);
		if (collect(1, 1) != 1 || read(is_child ? there[0] : back[0], &byte, 1) < 1)
			exit(1);
		if (is_child && write(back[1], &byte, 1) < 1)
			exit(1);
	}
	if (is_child)
		_exit(0);
	wait(NULL);
}

/* Sockets that are ready for reading, and stay so. */
static void watch_ready_sockets(int count)
{
	int pair[2];

	while (count-- > 0) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || write(pair[1], "x", 1) < 1)
			exit(1);
		watch(pair[0]);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc == 3 ? argv[1] : "";
	const int count = argc == 3 ? atoi(argv[2]) : 0, id = shmget(IPC_PRIVATE, SEGMENT_BYTES, IPC_CREAT | 0600);
	struct timespec before, after;
	struct shmid_ds status;
	int i, ready = 0, result = 0;

	if (strcmp(what, "ready-1") == 0)
		ready = 1;
	else if (strcmp(what, "ready-100") == 0)
		ready = MOST_EVENTS;
	make_queue();
	watch_ready_sockets(ready);
	clock_gettime(CLOCK_MONOTONIC, &before);
	if (strcmp(what, "ping-pong") == 0)
		ping_pong(count);
	else
		for (i = 0; i < count && result >= 0; i++) {
			if (ready > 0)
				result = collect(MOST_EVENTS, 0) - ready;
			else if (strcmp(what, "empty") == 0)
				result = collect(1, 0);
			else if (strcmp(what, "trigger") == 0)
				result = trigger_and_collect() - 1;
			else if (strcmp(what, "attach") == 0)
				result = shmdt(shmat(id, NULL, 0));
			else if (strcmp(what, "stat") == 0)
				result = shmctl(id, IPC_STAT, &status);
			else
				result = -1;
		}
	clock_gettime(CLOCK_MONOTONIC, &after);
	shmctl(id, IPC_RMID, NULL);
	if (result < 0)
		return 1;
	printf("%f\n",
	    ((double)(after.tv_sec - before.tv_sec) * 1e6 + (double)(after.tv_nsec - before.tv_nsec) / 1e3) / count);
	return 0;
}
