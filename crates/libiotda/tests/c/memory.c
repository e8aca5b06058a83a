/*
 * No memory for a request is an error for the caller, not the end of the program. Run without valgrind, which
 * needs memory of its own.
 */
#define _DEFAULT_SOURCE
#include "check.h"

#include <sys/resource.h>

enum { CHUNK = 256 * 1024, PAYLOAD = 900 * 1000 };

int main(void) {
    iotda_client_t *client = client_from_environment();
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "x", 1, &call));

    char *object = object_of(PAYLOAD);
    iotda_service_t service = {"s", object, IOTDA_TIME_NONE};
    iotda_child_t child = {"child", &service, 1};
    iotda_status_t child_status = IOTDA_OK;

    /* Take what there is, but for less than a request needs. */
    struct rlimit limit = {64 * 1024 * 1024, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    void *taken = NULL;
    for (void *chunk = malloc(CHUNK); chunk != NULL; chunk = malloc(CHUNK)) {
        *(void **)chunk = taken;
        taken = chunk;
    }
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_report_props(client, &service, 1, &call));
    CHECK(strstr(call.message, "no memory") != NULL);
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_gateway_batch(client, &child, 1, &child_status, &call));
    CHECK(child_status == IOTDA_E_INTERNAL);

    /* With memory again, the same client goes on. */
    while (taken != NULL) {
        void *next = *(void **)taken;
        free(taken);
        taken = next;
    }
    CHECK_STATUS(IOTDA_OK, iotda_report_props(client, &service, 1, &call));
    free(object);
    iotda_close(client);
    return EXIT_SUCCESS;
}
