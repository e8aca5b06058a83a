/*
 * A gateway: it collects the readings of its child devices and reports them in batches.
 *
 *   gateway                                 reads from standard input
 *   gateway --simulate CHILDREN ROUNDS      makes readings up
 *
 * A line of the input is a reading; an empty line, or the end, has what came so far reported:
 *
 *   meter_1 power Voltage=230.4 Phases=3 Closed=true
 *   door_7 lock State=open
 *
 * Who the gateway is comes from the environment: IOTDA_ENDPOINT, IOTDA_DEVICE_ID, IOTDA_DEVICE_SECRET and,
 * unless a public authority signed the platform's certificate, IOTDA_CA_FILE.
 *
 * Each reading keeps the time at which it was taken. One that could not be delivered, and may be later, goes
 * with the next batch, for an hour; one that the platform will never take is dropped, and said so. The exit status
 * is 0 if all were delivered.
 */
#define _POSIX_C_SOURCE 200809L

#include <iotda.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_READINGS = 1000,
    CALL_TIMEOUT_MS = 20000,
    LAST_TRIES = 3,
    LONGEST_PAUSE_MS = 5000,
    LONGEST_KEPT_MS = 3600000
};

struct reading {
    char child[129];
    char service[65];
    iotda_props_t *properties;
    int64_t time_ms;
    iotda_status_t status; /* why it was not delivered the last time */
};

static struct reading readings[MAX_READINGS];
static size_t count;
static size_t delivered, lost;

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(uint32_t ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static void lose(const struct reading *reading, const char *why) {
    fprintf(stderr, "gateway: a reading of %s is lost: %s\n", reading->child, why);
    iotda_props_free(reading->properties);
    lost++;
}

/*
 * Whether to report it once more. What is transient may have to be put right by somebody (a child that is registered,
 * a certificate): so it is kept for a time, and not for ever.
 */
static bool is_kept(const struct reading *reading) {
    return iotda_status_is_transient(reading->status) &&
           now_ms() - reading->time_ms < LONGEST_KEPT_MS;
}

/* Reports all readings in one call. Those that are to be reported again stay. Returns how long to wait. */
static uint32_t report(iotda_client_t *client) {
    static iotda_service_t services[MAX_READINGS];
    static iotda_child_t children[MAX_READINGS];
    static iotda_status_t statuses[MAX_READINGS];
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const struct reading *reading = &readings[i];
        services[i].service_id = reading->service;
        services[i].properties = iotda_props_json(reading->properties);
        services[i].event_time_ms = reading->time_ms;
        children[i].device_id = reading->child;
        children[i].services = &services[i];
        children[i].service_count = 1;
    }
    iotda_call_t call = IOTDA_CALL_INIT;
    call.timeout_ms = CALL_TIMEOUT_MS;
    iotda_status_t status = iotda_gateway_batch(client, children, count, statuses, &call);
    if (status != IOTDA_OK)
        fprintf(stderr, "gateway: %s: %s\n", iotda_status_name(status), call.message);

    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct reading *reading = &readings[i];
        reading->status = statuses[i];
        if (reading->status == IOTDA_OK) {
            iotda_props_free(reading->properties);
            delivered++;
        } else if (is_kept(reading)) {
            readings[kept++] = *reading;
        } else {
            lose(reading, iotda_status_name(reading->status));
        }
    }
    count = kept;
    return call.retry_after_ms;
}

/* The place for the next reading. If nothing can be delivered, the oldest one makes room. */
static struct reading *next_reading(iotda_client_t *client) {
    if (count == MAX_READINGS)
        report(client);
    if (count == MAX_READINGS) {
        lose(&readings[0], "there is no room for more");
        memmove(readings, readings + 1, --count * sizeof readings[0]);
    }
    struct reading *reading = &readings[count];
    reading->time_ms = now_ms();
    reading->properties = iotda_props_new();
    return reading;
}

/* NAME=VALUE. The value is JSON, which is passed on as it is written, or else a text. */
static bool add_value(iotda_props_t *properties, char *assignment) {
    char *value = strchr(assignment, '=');
    if (value == NULL)
        return false;
    *value++ = '\0';
    return iotda_props_add_json(properties, assignment, value) == IOTDA_OK ||
           iotda_props_add_string(properties, assignment, value) == IOTDA_OK;
}

/* A wrong reading is found here, where its line can be shown. */
static void take_line(iotda_client_t *client, char *line) {
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    struct reading *reading = next_reading(client);
    char *rest = NULL;
    char *child = strtok_r(line, " ", &rest), *service = strtok_r(NULL, " ", &rest);
    bool good = child != NULL && child[strspn(child, allowed)] == '\0' &&
                strlen(child) < sizeof reading->child && service != NULL &&
                service[strspn(service, allowed)] == '\0' &&
                strlen(service) < sizeof reading->service;
    size_t values = 0;
    for (char *word; good && (word = strtok_r(NULL, " ", &rest)) != NULL; values++)
        good = add_value(reading->properties, word);
    if (!good || values == 0) {
        fprintf(stderr, "gateway: this is no reading: %s ...\n", child != NULL ? child : "");
        iotda_props_free(reading->properties);
        lost++;
        return;
    }
    strcpy(reading->child, child);
    strcpy(reading->service, service);
    count++;
}

static void read_input(iotda_client_t *client) {
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line == '\0')
            report(client);
        else
            take_line(client, line);
    }
    free(line);
}

static void simulate(iotda_client_t *client, int children, int rounds) {
    for (int round = 0; round < rounds; round++) {
        for (int child = 0; child < children; child++) {
            char line[128];
            snprintf(line, sizeof line, "simulated_%d climate Temperature=%d.5 Round=%d", child,
                     15 + (child + round) % 10, round);
            take_line(client, line);
        }
        report(client);
    }
}

int main(int argc, char **argv) {
    const char *endpoint = getenv("IOTDA_ENDPOINT"), *id = getenv("IOTDA_DEVICE_ID");
    const char *secret = getenv("IOTDA_DEVICE_SECRET"), *ca_file = getenv("IOTDA_CA_FILE");
    bool simulated = argc == 4 && strcmp(argv[1], "--simulate") == 0;
    if (endpoint == NULL || id == NULL || secret == NULL || (argc != 1 && !simulated)) {
        fprintf(stderr, "usage: gateway [--simulate CHILDREN ROUNDS]\n"
                        "with IOTDA_ENDPOINT, IOTDA_DEVICE_ID and IOTDA_DEVICE_SECRET set\n");
        return EXIT_FAILURE;
    }
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, endpoint);
    iotda_config_set_device(config, id, secret, strlen(secret));
    if (ca_file != NULL)
        iotda_config_set_ca_file(config, ca_file);
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    iotda_config_free(config);
    if (status != IOTDA_OK) {
        fprintf(stderr, "gateway: %s: %s\n", iotda_status_name(status), call.message);
        return EXIT_FAILURE;
    }

    if (simulated)
        simulate(client, atoi(argv[2]), atoi(argv[3]));
    else
        read_input(client);
    for (int tries = 1; count > 0; tries++) {
        uint32_t wait_ms = report(client);
        if (count == 0 || tries == LAST_TRIES)
            break;
        pause_ms(wait_ms < LONGEST_PAUSE_MS ? wait_ms : LONGEST_PAUSE_MS);
    }
    while (count > 0) {
        count--;
        lose(&readings[count], iotda_status_name(readings[count].status));
    }
    iotda_close(client);
    printf("delivered %zu readings, lost %zu\n", delivered, lost);
    return lost == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
