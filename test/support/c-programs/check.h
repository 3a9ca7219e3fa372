/* Checks of the C tests: each failure is a line on standard output, and the program's status. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int check_failures;

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
			check_failures++; \
		} \
	} while (0)

/* The call fails with this errno. */
#define FAILS(call, number) \
	do { \
		errno = 0; \
		CHECK((call) == -1); \
		CHECK(errno == (number)); \
	} while (0)

static int check_end(void)
{
	fflush(stdout);
	return check_failures > 0;
}
