/*
 * When a program lets the server trace it. What Yama says and the prctl are played here. Arguments: the value of ptrace_scope, and whom
 * the program is expected to admit, 0 for nobody.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *scope;
static long admitted;
static int admissions;

static int played_open(const char *path, int flags)
{
	int fds[2];

	if (strcmp(path, "/proc/sys/kernel/yama/ptrace_scope") != 0)
		return open(path, flags);
	if (pipe(fds) < 0 || write(fds[1], scope, strlen(scope)) < 0)
		return -1;
	close(fds[1]);
	return fds[0];
}

static int played_prctl(int what, unsigned long pid, int a, int b, int c)
{
	(void)(a + b + c);
	if (what == PR_SET_PTRACER) {
		admitted = (long)pid;
		admissions++;
	}
	return 0;
}

#define open played_open
#define prctl played_prctl
#include <sys/event.h>
#undef open
#undef prctl

#include "check.h"

int main(int argc, char **argv)
{
	const long expected = argc == 3 ? atol(argv[2]) : -1;
	int status = -1;
	pid_t child;

	CHECK(argc == 3);
	scope = argv[1];
	CHECK(close(kqueue()) == 0);
	CHECK(admitted == expected);
	CHECK(close(kqueue()) == 0);
	CHECK(admissions == (expected > 0));
	/* A child is another process: it says so itself. */
	child = fork();
	if (child == 0) {
		CHECK(close(kqueue()) == 0);
		CHECK(admissions == 2 * (expected > 0));
		_exit(check_end());
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	return check_end();
}
