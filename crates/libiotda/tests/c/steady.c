/*
 * One report, then as many more as the argument says, on one client. The marks on standard output show
 * a tracer where the steady part begins and ends, and after it ten seconds in which the client is idle.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <time.h>
#include <unistd.h>

static void mark(const char *text) {
    CHECK(write(STDOUT_FILENO, text, strlen(text)) == (ssize_t)strlen(text));
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    long count = strtol(argv[1], NULL, 10);
    CHECK(count > 0);
    iotda_client_t *client = client_from_environment();
    iotda_service_t service = {"load", "{\"one\":0.5}", IOTDA_TIME_NONE};
    CHECK_STATUS(IOTDA_OK, iotda_report_props(client, &service, 1, NULL));
    mark("BEGIN\n");
    for (long i = 0; i < count; i++)
        CHECK_STATUS(IOTDA_OK, iotda_report_props(client, &service, 1, NULL));
    mark("END\n");
    struct timespec idle = {10, 0};
    CHECK(nanosleep(&idle, NULL) == 0);
    mark("IDLE\n");
    iotda_close(client);
    return EXIT_SUCCESS;
}
