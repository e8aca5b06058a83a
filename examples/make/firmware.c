/*
 * Firmware of a device that wakes, measures, reports once and sleeps again: run it from a timer.
 *
 *   firmware TOKEN_FILE
 *
 * The access token is kept in the file, so that the device authenticates about once a day however often it
 * wakes. Who it is comes from the environment, such as a unit of systemd sets it: IOTDA_ENDPOINT,
 * IOTDA_DEVICE_ID, IOTDA_DEVICE_SECRET and, unless a public authority signed the platform's certificate,
 * IOTDA_CA_FILE.
 */
#define _POSIX_C_SOURCE 200809L

#include <iotda.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TOKEN_SIZE = 512, CALL_TIMEOUT_MS = 15000, CLOCK_TOLERANCE_S = 60 };

static void log_line(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    fprintf(stderr, "firmware: <%d> %s\n", (int)level, message);
}

/* What was kept, or "". A file that is cut or spoilt is found out by iotda_init. */
static void load_token(const char *path, char token[TOKEN_SIZE]) {
    token[0] = '\0';
    FILE *file = fopen(path, "r");
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
static void save_token(const char *path, const char *token, const char *before) {
    char next[4096];
    if (strcmp(token, before) == 0 ||
        snprintf(next, sizeof next, "%s.next", path) >= (int)sizeof next)
        return;
    unlink(next);
    int fd = open(next, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        perror(next);
        return;
    }
    size_t length = strlen(token);
    bool written = write(fd, token, length) == (ssize_t)length && fsync(fd) == 0;
    if (close(fd) != 0 || !written || rename(next, path) != 0) {
        perror(path);
        unlink(next);
    }
}

/* The sensors of this device: its load, and its temperature if it tells one. */
static bool measure(iotda_props_t *props) {
    double load;
    FILE *file = fopen("/proc/loadavg", "r");
    bool good = file != NULL && fscanf(file, "%lf", &load) == 1 &&
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

int main(int argc, char **argv) {
    const char *endpoint = getenv("IOTDA_ENDPOINT"), *id = getenv("IOTDA_DEVICE_ID");
    const char *secret = getenv("IOTDA_DEVICE_SECRET"), *ca_file = getenv("IOTDA_CA_FILE");
    if (argc != 2 || endpoint == NULL || id == NULL || secret == NULL) {
        fprintf(stderr, "usage: firmware TOKEN_FILE\n"
                        "with IOTDA_ENDPOINT, IOTDA_DEVICE_ID and IOTDA_DEVICE_SECRET set\n");
        return EXIT_FAILURE;
    }
    const char *token_file = argv[1];
    char before[TOKEN_SIZE], token[TOKEN_SIZE];
    load_token(token_file, before);

    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, endpoint);
    iotda_config_set_device(config, id, secret, strlen(secret));
    iotda_config_set_log(config, IOTDA_LOG_WARNING, log_line, NULL, NULL);
    iotda_config_set_timeout_ms(config, CALL_TIMEOUT_MS);
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
    if (status != IOTDA_OK) {
        fprintf(stderr, "firmware: %s: %s\n", iotda_status_name(status), call.message);
        return EXIT_FAILURE;
    }

    iotda_props_t *props = iotda_props_new();
    status = IOTDA_E_INTERNAL;
    if (measure(props)) {
        iotda_service_t service = {"board", iotda_props_json(props), IOTDA_TIME_NONE};
        status = iotda_report_props(client, &service, 1, &call);
        if (status != IOTDA_OK)
            fprintf(stderr, "firmware: %s: %s\n", iotda_status_name(status), call.message);
    } else {
        fprintf(stderr, "firmware: the sensors cannot be read\n");
    }
    iotda_props_free(props);

    if (iotda_token_export(client, token, sizeof token, NULL, &call) == IOTDA_OK)
        save_token(token_file, token, before);

    /* A board without a battery behind its clock: the platform's answer tells how wrong it is. */
    int64_t server_s = iotda_server_time_ms(client) / 1000;
    int64_t off_s = server_s == 0 ? 0 : (int64_t)time(NULL) - server_s;
    if (off_s > CLOCK_TOLERANCE_S || off_s < -CLOCK_TOLERANCE_S)
        fprintf(stderr, "firmware: the clock is off by %lld s\n", (long long)off_s);
    iotda_close(client);
    return status == IOTDA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
