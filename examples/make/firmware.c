/*
 * Firmware of a device that wakes, measures, reports and sleeps again: run it from a timer.
 *
 *   firmware DIRECTORY
 *
 * A measurement is put into an outbox in DIRECTORY, and what waits there is sent, without a thread: when the network is
 * away, it is sent by a later wake. The access token is kept in DIRECTORY too, so that the device authenticates about
 * once a day however often it wakes. Who it is comes from the environment, such as a unit of systemd sets it:
 * IOTDA_ENDPOINT, IOTDA_DEVICE_ID, IOTDA_DEVICE_SECRET and, unless a public authority signed the platform's
 * certificate, IOTDA_CA_FILE, an absolute path.
 */
#define _GNU_SOURCE /* CLOCK_BOOTTIME */

#include <iotda.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* In DIRECTORY. */
static const char outbox_directory[] = "outbox", token_file[] = "token",
                  next_token_file[] = "token.next";

enum { TOKEN_SIZE = 512, WAKE_MS = 15000, CLOCK_TOLERANCE_S = 60 };

static void log_line(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    fprintf(stderr, "firmware: <%d> %s\n", (int)level, message);
}

static bool failed(iotda_status_t status, const iotda_call_t *call) {
    if (status != IOTDA_OK)
        fprintf(stderr, "firmware: %s: %s\n", iotda_status_name(status), call->message);
    return status != IOTDA_OK;
}

/* What was kept, or "". A file that is cut or spoilt is found out by iotda_init. */
static void load_token(char token[TOKEN_SIZE]) {
    token[0] = '\0';
    FILE *file = fopen(token_file, "r");
    if (file == NULL)
        return;
    size_t length = fread(token, 1, TOKEN_SIZE - 1, file);
    token[length] = '\0';
    fclose(file);
}

/*
 * For nobody else to read, since it is as good as the secret; and whole or not at all, since power may fail. A
 * flash wears out: what has not changed is not written again.
 */
static void save_token(const char *token, const char *before) {
    if (strcmp(token, before) == 0)
        return;
    unlink(next_token_file);
    int fd = open(next_token_file, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        perror(next_token_file);
        return;
    }
    size_t length = strlen(token);
    bool written = write(fd, token, length) == (ssize_t)length && fsync(fd) == 0;
    if (close(fd) != 0 || !written || rename(next_token_file, token_file) != 0) {
        perror(token_file);
        unlink(next_token_file);
    }
}

/* The sensors of this device: how long it runs, its load, and its temperature if it has one. */
static bool measure(iotda_props_t *props) {
    struct timespec up;
    double load;
    FILE *file = fopen("/proc/loadavg", "r");
    bool good =
        clock_gettime(CLOCK_BOOTTIME, &up) == 0 && file != NULL &&
        fscanf(file, "%lf", &load) == 1 &&
        iotda_props_add_double(props, "Uptime", (double)up.tv_sec + up.tv_nsec / 1e9) == IOTDA_OK &&
        iotda_props_add_double(props, "Load", load) == IOTDA_OK;
    if (file != NULL)
        fclose(file);

    int thousandths;
    file = fopen("/sys/class/thermal/thermal_zone0/temp", "r");
    if (file != NULL && fscanf(file, "%d", &thousandths) == 1)
        good =
            iotda_props_add_double(props, "Temperature", thousandths / 1000.0) == IOTDA_OK && good;
    if (file != NULL)
        fclose(file);
    return good;
}

/*
 * Measures and puts. A device whose disk is full or broken still reports what it measures; then it is lost if that fails.
 */
static bool take_measurement(iotda_outbox_t *outbox, iotda_client_t *client) {
    iotda_props_t *props = iotda_props_new();
    if (!measure(props)) {
        fprintf(stderr, "firmware: the sensors cannot be read\n");
        iotda_props_free(props);
        return false;
    }
    iotda_service_t service = {"board", iotda_props_json(props), IOTDA_TIME_NONE};
    iotda_call_t call = IOTDA_CALL_INIT;
    bool is_safe = outbox != NULL &&
                   !failed(iotda_outbox_put_props(outbox, client, &service, 1, NULL, &call), &call);
    if (is_safe) {
        printf("kept %s\n", service.properties);
        fflush(stdout);
    } else {
        is_safe = !failed(iotda_report_props(client, &service, 1, &call), &call);
    }
    iotda_props_free(props);
    return is_safe;
}

/* Sends what waits, in this thread; what cannot be sent waits for a later wake. */
static void deliver(iotda_outbox_t *outbox) {
    iotda_call_t call = IOTDA_CALL_INIT;
    failed(iotda_outbox_pump(outbox, &call), &call);
    iotda_outbox_stats_t stats = {.struct_size = sizeof stats};
    iotda_outbox_stats(outbox, &stats);
    printf("delivered %" PRIu64 ", %" PRIu64 " wait\n", stats.delivered, stats.waiting);
}

int main(int argc, char **argv) {
    const char *endpoint = getenv("IOTDA_ENDPOINT"), *id = getenv("IOTDA_DEVICE_ID");
    const char *secret = getenv("IOTDA_DEVICE_SECRET"), *ca_file = getenv("IOTDA_CA_FILE");
    if (argc != 2 || endpoint == NULL || id == NULL || secret == NULL) {
        fprintf(stderr, "usage: firmware DIRECTORY\n"
                        "with IOTDA_ENDPOINT, IOTDA_DEVICE_ID and IOTDA_DEVICE_SECRET set\n");
        return EXIT_FAILURE;
    }
    if (chdir(argv[1]) != 0) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    char before[TOKEN_SIZE], token[TOKEN_SIZE];
    load_token(before);

    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, endpoint);
    iotda_config_set_device(config, id, secret, strlen(secret));
    iotda_config_set_log(config, IOTDA_LOG_WARNING, log_line, NULL, NULL);
    iotda_config_set_timeout_ms(config, WAKE_MS);
    if (ca_file != NULL)
        iotda_config_set_ca_file(config, ca_file);
    iotda_config_set_token(config, before);

    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    if (status == IOTDA_E_CONFIG && before[0] != '\0') {
        /* Perhaps it is the token that is spoilt: a device must not stop for that. */
        iotda_config_set_token(config, "");
        status = iotda_init(config, &client, &call);
    }
    iotda_config_free(config);
    if (failed(status, &call))
        return EXIT_FAILURE;

    iotda_outbox_options_t options = IOTDA_OUTBOX_OPTIONS_INIT;
    options.directory = outbox_directory;
    options.sync_ms = 0; /* there may be no later: what is put is on disk */
    options.when_full = IOTDA_OUTBOX_DROP_OLDEST;
    options.start_worker = false;
    iotda_outbox_t *outbox = NULL;
    failed(iotda_outbox_open(client, &options, &outbox, &call), &call);
    bool is_safe = take_measurement(outbox, client);
    if (outbox != NULL)
        deliver(outbox);
    iotda_outbox_close(outbox);

    if (iotda_token_export(client, token, sizeof token, NULL, &call) == IOTDA_OK)
        save_token(token, before);

    /* A board without a battery behind its clock: the platform's answer says how wrong it is. */
    int64_t server_s = iotda_server_time_ms(client) / 1000;
    int64_t off_s = server_s == 0 ? 0 : (int64_t)time(NULL) - server_s;
    if (off_s > CLOCK_TOLERANCE_S || off_s < -CLOCK_TOLERANCE_S)
        fprintf(stderr, "firmware: the clock is off by %lld s\n", (long long)off_s);
    iotda_close(client);
    return is_safe ? EXIT_SUCCESS : EXIT_FAILURE;
}
