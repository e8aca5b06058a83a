/*
 * Eight threads report on one client until standard input ends. Each report has an id of its own, and each outcome is
 * written as "o ID STATUS MAY_HAVE_ARRIVED"; four times a second what the process uses, as "u KILOBYTES DESCRIPTORS
 * THREADS". The reader compares it with what has arrived.
 */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { THREADS = 8, CHILDREN = 12 };

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool ends;
static iotda_client_t *client;

static void outcome(uint64_t id, iotda_status_t status, const iotda_call_t *call) {
    CHECK(status == IOTDA_OK || call->message[0] != '\0');
    CHECK(pthread_mutex_lock(&output) == 0);
    printf("o %" PRIu64 " %" PRId32 " %d\n", id, status, call->may_have_arrived);
    CHECK(pthread_mutex_unlock(&output) == 0);
}

static void message(uint64_t id) {
    char text[32];
    int length = snprintf(text, sizeof text, "%" PRIu64, id);
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_report_message(client, text, (size_t)length, &call);
    outcome(id, status, &call);
}

static void properties(uint64_t id) {
    char text[40];
    snprintf(text, sizeof text, "{\"id\":%" PRIu64 "}", id);
    iotda_service_t service = {"s", text, IOTDA_TIME_NONE};
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_report_props(client, &service, 1, &call);
    outcome(id, status, &call);
}

static void batch(uint64_t first) {
    char texts[CHILDREN][40], ids[CHILDREN][16];
    iotda_service_t services[CHILDREN];
    iotda_child_t children[CHILDREN];
    iotda_status_t statuses[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        snprintf(texts[i], sizeof texts[i], "{\"id\":%" PRIu64 "}", first + (uint64_t)i);
        snprintf(ids[i], sizeof ids[i], "child_%d", i);
        services[i] = (iotda_service_t){"s", texts[i], IOTDA_TIME_NONE};
        children[i] = (iotda_child_t){ids[i], &services[i], 1};
    }
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_gateway_batch(client, children, CHILDREN, statuses, &call);
    for (int i = 0; i < CHILDREN; i++)
        outcome(first + (uint64_t)i, statuses[i], &call);
}

static void *report(void *number) {
    uint64_t id = (uint64_t)(uintptr_t)number * 1000000000000u;
    for (int turn = 0; !atomic_load(&ends); turn++) {
        if (turn % 8 == 7)
            batch(id);
        else if (turn % 2 == 0)
            message(id);
        else
            properties(id);
        id += CHILDREN;
    }
    return NULL;
}

static int entries(const char *path) {
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    CHECK(closedir(directory) == 0);
    return count;
}

static void usage(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL);
    long pages = 0, resident = 0;
    CHECK(fscanf(file, "%ld %ld", &pages, &resident) == 2);
    CHECK(fclose(file) == 0);
    int descriptors = entries("/proc/self/fd") - 1, threads = entries("/proc/self/task");
    CHECK(pthread_mutex_lock(&output) == 0);
    printf("u %ld %d %d\n", resident * (sysconf(_SC_PAGESIZE) / 1024), descriptors, threads);
    CHECK(fflush(stdout) == 0);
    CHECK(pthread_mutex_unlock(&output) == 0);
}

int main(void) {
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_config_set_timeout_ms(config, 3000));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_connect_timeout_ms(config, 500));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_attempt_timeout_ms(config, 500));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_retry(config, 4, 20, 200));
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, NULL));
    iotda_config_free(config);
    usage();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, report, (void *)(uintptr_t)(i + 1)) == 0);
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    while (poll(&input, 1, 250) == 0)
        usage();
    atomic_store(&ends, true);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    iotda_close(client);
    usage();
    return EXIT_SUCCESS;
}
