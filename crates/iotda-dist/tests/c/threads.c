/* Eight threads report on one client at the same time. */
#include "check.h"

#include <pthread.h>

enum { THREADS = 8, REPORTS = 10 };

static void *report(void *client) {
    for (int i = 0; i < REPORTS; i++) {
        iotda_call_t call = IOTDA_CALL_INIT;
        CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "x", 1, &call));
        CHECK(call.http_status == 200);
    }
    return NULL;
}

int main(void) {
    iotda_client_t *client = client_from_environment();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, report, client) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    iotda_close(client);
    return EXIT_SUCCESS;
}
