/*
 * One report, then as many more as the argument says, on one client. The marks on standard output tell
 * a tracer where the steady part begins and ends.
 */
#include "check.h"

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
    iotda_close(client);
    return EXIT_SUCCESS;
}
