// Reads messages of 64 bytes, one read(2) each, and takes it for granted that each read returns a whole one.

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 64 };

int main(void) {
    char message[MESSAGE_BYTES];
    int messages = 0;

    for (;;) {
        ssize_t count = read(0, message, sizeof message);
        if (count < 0)
            return perror("read"), 1;
        if (count == 0)
            return printf("%d messages\n", messages), 0;
        if (count != MESSAGE_BYTES || memchr(message, '.', sizeof message) != message + MESSAGE_BYTES - 1)
            return fprintf(stderr, "message %d is damaged: %zd bytes\n", messages + 1, count), 1;
        messages++;
    }
}
