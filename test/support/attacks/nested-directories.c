/* Makes directories within each other, from the working directory on, with names of so many control characters, until that is refused, and
   pipes at the bottom. Prints how deep it came, and why no deeper. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int count, char **words) {
  char name[256] = {0};
  int depth = 0;
  memset(name, 1, (size_t)atoi(words[1]));
  while (mkdir(name, 0755) == 0 && chdir(name) == 0) depth++;
  printf("%d %s\n", depth, strerror(errno));
  for (int pipe = atoi(words[2]); pipe > 0; pipe--) {
    snprintf(name, sizeof name, "%d", pipe);
    if (mkfifo(name, 0644) != 0) return 1;
  }
  return 0;
}
