/*
 * The library's descriptors: closed in programs that this one starts, and never those of the standard streams, also
 * where the program has closed them.
 */
#define _DEFAULT_SOURCE
#include "check.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 256 };

static bool is_open(int descriptor) {
    return fcntl(descriptor, F_GETFD) >= 0;
}

/* Reports, and looks at each descriptor that was not there before. */
static int closed_on_exec(void) {
    bool before[MOST];
    for (int i = 0; i < MOST; i++)
        before[i] = is_open(i);
    iotda_client_t *client = client_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "x", 1, NULL));
    int found = 0;
    for (int i = 0; i < MOST; i++) {
        if (before[i] || !is_open(i))
            continue;
        CHECK((fcntl(i, F_GETFD) & FD_CLOEXEC) != 0);
        found++;
    }
    iotda_close(client);
    return found;
}

/* In a child that has closed some of the standard streams: they stay closed, whatever the library opens. */
static void without_streams(const char *closed) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        iotda_client_t *client = client_from_environment();
        for (const char *digit = closed; *digit != '\0'; digit++)
            close(*digit - '0');
        if (iotda_report_message(client, "without streams", 15, NULL) != IOTDA_OK)
            _exit(2);
        for (const char *digit = closed; *digit != '\0'; digit++) {
            if (is_open(*digit - '0'))
                _exit(3);
        }
        iotda_close(client);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
    CHECK(closed_on_exec() > 0);
    without_streams("0");
    without_streams("1");
    without_streams("2");
    without_streams("012");
    return EXIT_SUCCESS;
}
