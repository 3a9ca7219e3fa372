/* Prints whether pipe(2) goes one way or both ways. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	int fds[2];

	if (pipe(fds) < 0)
		return 1;
	puts(write(fds[0], "x", 1) == 1 ? "both ways" : "one way");
	return 0;
}
