/*
 * Eight threads report on one client at the same time: over no more connections than are allowed, and, without a
 * limit, over one for each thread, which is kept. The messages have all lengths that the blocks of a cipher, of 16
 * bytes, can end with.
 */
#include "check.h"

#include <pthread.h>

enum { THREADS = 8, REPORTS = 16 };

static void *report(void *client) {
    for (int i = 0; i < REPORTS; i++) {
        iotda_call_t call = IOTDA_CALL_INIT;
        CHECK_STATUS(IOTDA_OK,
                     iotda_report_message(client, "0123456789abcdef", (size_t)i + 1, &call));
        CHECK(call.http_status == 200);
    }
    return NULL;
}

/* Returns how many connections were opened. */
static uint64_t report_by_threads(const iotda_config_t *config) {
    iotda_client_t *client = NULL;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, NULL));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, report, client) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    iotda_stats_t stats = {.struct_size = sizeof stats};
    CHECK_STATUS(IOTDA_OK, iotda_stats(client, &stats));
    iotda_close(client);
    return stats.handshakes_full + stats.handshakes_resumed;
}

int main(void) {
    iotda_config_t *config = config_from_environment();
    CHECK(report_by_threads(config) <= THREADS);
    CHECK_STATUS(IOTDA_OK, iotda_config_set_max_connections(config, 2));
    CHECK(report_by_threads(config) <= 2);
    iotda_config_free(config);
    return EXIT_SUCCESS;
}
