/* Prints the time every two seconds; with an argument, so often and no more. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    long left = argc > 1 ? atol(argv[1]) : -1;

    for (; left; left -= left > 0) {
        char text[32];
        time_t now = time(0);
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", gmtime(&now));
        puts(text);
        fflush(stdout);
        sleep(2);
    }
    return 0;
}
