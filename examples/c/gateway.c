/*
 * A gateway: it puts the readings of its child devices into an outbox, which keeps them on disk and reports them in
 * batches until the platform has taken them, over outages and restarts.
 *
 *   gateway DIRECTORY                              reads from standard input
 *   gateway DIRECTORY --simulate CHILDREN ROUNDS   makes readings up
 *
 * The outbox is in DIRECTORY. A line of the input is a reading; an empty line, or the end, ends a round, and the gateway
 * answers with how many readings are safe by now: they are on disk, or delivered.
 *
 *   meter_1 power Voltage=230.4 Phases=3 Closed=true
 *   door_7 lock State=open
 *
 * Who the gateway is comes from the environment: IOTDA_ENDPOINT, IOTDA_DEVICE_ID, IOTDA_DEVICE_SECRET and,
 * unless a public authority signed the platform's certificate, IOTDA_CA_FILE.
 *
 * What waits at the end is delivered by the next run. The exit status is 0 if no reading was lost: by a line that is
 * none, by the platform's refusal, or for want of room.
 */
#define _POSIX_C_SOURCE 200809L

#include <iotda.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PUT_TRIES = 3, MAX_AGE_S = 7 * 24 * 3600, LAST_DELIVERIES_MS = 5000 };

static iotda_client_t *client;
static iotda_outbox_t *outbox;
static size_t put;
static atomic_size_t lost;

static void log_line(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    fprintf(stderr, "gateway: <%d> %s\n", (int)level, message);
}

static void lose(const char *child, iotda_status_t status, const char *message) {
    fprintf(stderr, "gateway: a reading of %s is lost: %s: %s\n", child, iotda_status_name(status),
            message);
    lost++;
}

/* Called by the outbox's thread, which logs why. What the platform refused is a dead letter: iotda_outbox_dead_read. */
static void settled(void *user_data, uint64_t id, const char *child, iotda_status_t status,
                    const char *message) {
    (void)user_data;
    (void)id;
    (void)child;
    (void)message;
    if (status != IOTDA_OK)
        lost++;
}

static void pause_ms(uint32_t ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

/*
 * Puts a reading, with the time of now. What is transient passes, or somebody puts it right (a disk that is full): it is
 * worth some more tries. What is wrong with the reading itself stays so.
 */
static void put_reading(const char *child, const char *service_id, const iotda_props_t *props) {
    iotda_service_t service = {service_id, iotda_props_json(props), IOTDA_TIME_NONE};
    iotda_child_t reading = {child, &service, 1};
    iotda_call_t call = IOTDA_CALL_INIT;
    for (int tries = 1;; tries++) {
        iotda_status_t status = iotda_outbox_put_batch(outbox, client, &reading, 1, NULL, &call);
        if (status == IOTDA_OK) {
            put++;
            return;
        }
        if (!iotda_status_is_transient(status) || tries == PUT_TRIES) {
            lose(child, status, call.message);
            return;
        }
        pause_ms(1000);
    }
}

/* NAME=VALUE. The value is JSON, which is passed on as it is written, or else a text. */
static bool add_value(iotda_props_t *props, char *assignment) {
    char *value = strchr(assignment, '=');
    if (value == NULL)
        return false;
    *value++ = '\0';
    return iotda_props_add_json(props, assignment, value) == IOTDA_OK ||
           iotda_props_add_string(props, assignment, value) == IOTDA_OK;
}

static void take_line(char *line) {
    char *rest = NULL;
    char *child = strtok_r(line, " ", &rest), *service = strtok_r(NULL, " ", &rest);
    char *value = strtok_r(NULL, " ", &rest);
    iotda_props_t *props = iotda_props_new();
    bool good = value != NULL;
    for (; good && value != NULL; value = strtok_r(NULL, " ", &rest))
        good = add_value(props, value);
    if (good)
        put_reading(child, service, props);
    else
        lose(child != NULL ? child : "nobody", IOTDA_E_INVALID_ARGUMENT,
             "a line is CHILD SERVICE NAME=VALUE ...");
    iotda_props_free(props);
}

static void end_round(void) {
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_outbox_sync(outbox, &call);
    if (status != IOTDA_OK) {
        fprintf(stderr, "gateway: %s: %s\n", iotda_status_name(status), call.message);
        return;
    }
    printf("%zu readings are safe\n", put);
    fflush(stdout);
}

static void read_input(void) {
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line == '\0')
            end_round();
        else
            take_line(line);
    }
    free(line);
    end_round();
}

static void simulate(int children, int rounds) {
    for (int round = 0; round < rounds; round++) {
        for (int child = 0; child < children; child++) {
            char line[128];
            snprintf(line, sizeof line, "simulated_%d climate Temperature=%d.5 Round=%d", child,
                     15 + (child + round) % 10, round);
            take_line(line);
        }
        end_round();
    }
}

int main(int argc, char **argv) {
    const char *endpoint = getenv("IOTDA_ENDPOINT"), *id = getenv("IOTDA_DEVICE_ID");
    const char *secret = getenv("IOTDA_DEVICE_SECRET"), *ca_file = getenv("IOTDA_CA_FILE");
    bool simulated = argc == 5 && strcmp(argv[2], "--simulate") == 0;
    if (endpoint == NULL || id == NULL || secret == NULL || (argc != 2 && !simulated)) {
        fprintf(stderr, "usage: gateway DIRECTORY [--simulate CHILDREN ROUNDS]\n"
                        "with IOTDA_ENDPOINT, IOTDA_DEVICE_ID and IOTDA_DEVICE_SECRET set\n");
        return EXIT_FAILURE;
    }
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, endpoint);
    iotda_config_set_device(config, id, secret, strlen(secret));
    iotda_config_set_log(config, IOTDA_LOG_WARNING, log_line, NULL, NULL);
    if (ca_file != NULL)
        iotda_config_set_ca_file(config, ca_file);
    iotda_outbox_options_t options = IOTDA_OUTBOX_OPTIONS_INIT;
    options.directory = argv[1];
    options.max_age_s = MAX_AGE_S;
    options.when_full = IOTDA_OUTBOX_DROP_OLDEST;
    options.settled = settled;

    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    iotda_config_free(config);
    if (status == IOTDA_OK)
        status = iotda_outbox_open(client, &options, &outbox, &call);
    if (status != IOTDA_OK) {
        fprintf(stderr, "gateway: %s: %s\n", iotda_status_name(status), call.message);
        iotda_close(client);
        return EXIT_FAILURE;
    }

    if (simulated)
        simulate(atoi(argv[3]), atoi(argv[4]));
    else
        read_input();
    call.timeout_ms = LAST_DELIVERIES_MS;
    iotda_outbox_flush(outbox, &call); /* or it goes on waiting in the directory */
    iotda_outbox_stats_t stats = {.struct_size = sizeof stats};
    iotda_outbox_stats(outbox, &stats);
    iotda_outbox_close(outbox);
    iotda_close(client);
    printf("delivered %" PRIu64 " readings, lost %zu, %" PRIu64 " wait\n", stats.delivered, lost,
           stats.waiting);
    return lost == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
