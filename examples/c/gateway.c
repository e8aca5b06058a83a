/*
 * A gateway that reports what its child devices measure. It reads lines from standard input, one for
 * each reading,
 *
 *   CHILD_ID SERVICE_ID NAME=VALUE NAME=VALUE ...
 *
 * and reports them in batches: at an empty line, at the end, and whenever MAX_READINGS are there. What
 * could not be delivered for a reason that may pass stays for the next batch.
 *
 *   gateway ENDPOINT GATEWAY_ID SECRET [CA_FILE] < readings
 */
#define _POSIX_C_SOURCE 200809L
#include <iotda.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_READINGS = 1000 };

/* One line of input. The library borrows all of it for the time of a call, and nothing for longer. */
typedef struct reading {
    char *line; /* the child's and the service's id point into it */
    iotda_props_t *props;
    iotda_service_t service;
} reading_t;

static reading_t readings[MAX_READINGS];
static iotda_child_t children[MAX_READINGS];
static iotda_status_t outcomes[MAX_READINGS];
static size_t count;
static unsigned long delivered, lost;

/* A value that is JSON (a number, true, an array ...) is passed on as it is; all else is a string. */
static bool add_property(iotda_props_t *props, char *assignment) {
    char *value = strchr(assignment, '=');
    if (value == NULL)
        return false;
    *value++ = '\0';
    return iotda_props_add_json(props, assignment, value) == IOTDA_OK ||
           iotda_props_add_string(props, assignment, value) == IOTDA_OK;
}

static void take(const char *text) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char *line = strdup(text);
    iotda_props_t *props = iotda_props_new();
    char *rest = line, *child = NULL, *service = NULL;
    bool is_good = line != NULL && props != NULL &&
                   (child = strtok_r(rest, " \t\n", &rest)) != NULL &&
                   (service = strtok_r(NULL, " \t\n", &rest)) != NULL;
    for (char *word; is_good && (word = strtok_r(NULL, " \t\n", &rest)) != NULL;)
        is_good = add_property(props, word);
    if (!is_good) {
        fprintf(stderr, "gateway: not \"CHILD_ID SERVICE_ID NAME=VALUE ...\": %s", text);
        iotda_props_free(props);
        free(line);
        lost++;
        return;
    }
    reading_t *reading = &readings[count];
    *reading = (reading_t){.line = line, .props = props};
    reading->service = (iotda_service_t){service, iotda_props_json(props),
                                         (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
    children[count++] = (iotda_child_t){child, &reading->service, 1};
}

/* Whether the next batch may have more luck. */
static bool may_pass(iotda_status_t status) {
    switch (status) {
    case IOTDA_E_DNS:
    case IOTDA_E_CONNECT:
    case IOTDA_E_TIMEOUT:
    case IOTDA_E_RATE_LIMITED:
    case IOTDA_E_SERVER:
        return true;
    default:
        return false;
    }
}

static void report(iotda_client_t *client) {
    if (count == 0)
        return;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_gateway_batch(client, children, count, outcomes, &call);
    if (status != IOTDA_OK)
        fprintf(stderr, "gateway: %s: %s\n", iotda_status_name(status), call.message);

    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (may_pass(outcomes[i])) {
            readings[kept] = readings[i];
            children[kept] = (iotda_child_t){children[i].device_id, &readings[kept].service, 1};
            kept++;
            continue;
        }
        if (outcomes[i] == IOTDA_OK) {
            delivered++;
        } else {
            fprintf(stderr, "gateway: %s: %s\n", children[i].device_id,
                    iotda_status_text(outcomes[i]));
            lost++;
        }
        iotda_props_free(readings[i].props);
        free(readings[i].line);
    }
    count = kept;
    if (call.retry_after_ms > 0 && kept > 0) {
        struct timespec pause = {call.retry_after_ms / 1000,
                                 (long)(call.retry_after_ms % 1000) * 1000000};
        nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: gateway ENDPOINT GATEWAY_ID SECRET [CA_FILE] < readings\n");
        return EXIT_FAILURE;
    }
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, argv[1]);
    iotda_config_set_device(config, argv[2], argv[3], strlen(argv[3]));
    if (argc > 4)
        iotda_config_set_ca_file(config, argv[4]);
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    iotda_config_free(config);
    if (status != IOTDA_OK) {
        fprintf(stderr, "gateway: %s: %s\n", iotda_status_name(status), call.message);
        return EXIT_FAILURE;
    }

    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "\n") != 0)
            take(line);
        else
            report(client);
        /* What waits for better times makes no room: the oldest goes. */
        if (count == MAX_READINGS)
            report(client);
        if (count == MAX_READINGS) {
            iotda_props_free(readings[0].props);
            free(readings[0].line);
            for (size_t i = 1; i < count; i++) {
                readings[i - 1] = readings[i];
                children[i - 1] =
                    (iotda_child_t){children[i].device_id, &readings[i - 1].service, 1};
            }
            count--;
            lost++;
        }
    }
    for (int attempt = 0; count > 0 && attempt < 3; attempt++)
        report(client);
    lost += count;
    while (count > 0) {
        iotda_props_free(readings[--count].props);
        free(readings[count].line);
    }
    iotda_close(client);
    printf("gateway: delivered %lu readings, lost %lu\n", delivered, lost);
    return lost == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
