/*
 * Firmware without CMake: reports the load of the device at an interval, goes on through failures that may
 * pass, and keeps its access token over a restart.
 *
 *   firmware ENDPOINT DEVICE_ID SECRET TOKEN_FILE INTERVAL_S [REPORTS [CA_FILE]]
 *
 * It ends after so many REPORTS (0: never), or with SIGTERM or SIGINT.
 */
#define _DEFAULT_SOURCE /* getloadavg, fsync */
#include <iotda.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int signal_number) {
    (void)signal_number;
    stopped = 1;
}

static void sleep_ms(uint32_t milliseconds) {
    struct timespec pause = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    nanosleep(&pause, NULL); /* a signal ends it early, as it should */
}

static char token[512]; /* as it is in the file */

static void load_token(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return; /* the first start */
    if (fgets(token, sizeof token, file) == NULL)
        token[0] = '\0';
    fclose(file);
}

/* Writes a new token beside the old one and puts it in its place, so that no power cut leaves half of one. */
static void save_token(iotda_client_t *client, const char *path) {
    char now[sizeof token], beside[4096];
    if (iotda_token_export(client, now, sizeof now, NULL, NULL) != IOTDA_OK ||
        strcmp(now, token) == 0)
        return;
    snprintf(beside, sizeof beside, "%s.new", path);
    int file =
        open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0600); /* as secret as the device's secret */
    size_t length = strlen(now);
    int is_written = file >= 0 && write(file, now, length) == (ssize_t)length && fsync(file) == 0;
    if (file >= 0)
        is_written = close(file) == 0 && is_written;
    if (is_written && rename(beside, path) == 0)
        memcpy(token, now, sizeof token);
    else
        perror(beside);
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: firmware ENDPOINT DEVICE_ID SECRET TOKEN_FILE INTERVAL_S [REPORTS "
                        "[CA_FILE]]\n");
        return EXIT_FAILURE;
    }
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    uint32_t interval_ms = (uint32_t)strtoul(argv[5], NULL, 10) * 1000;
    unsigned long wanted = argc > 6 ? strtoul(argv[6], NULL, 10) : 0;

    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, argv[1]);
    iotda_config_set_device(config, argv[2], argv[3], strlen(argv[3]));
    iotda_config_set_timeout_ms(config, 20000);
    if (argc > 7)
        iotda_config_set_ca_file(config, argv[7]);
    load_token(argv[4]);
    iotda_config_set_token(config, token);
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    if (status == IOTDA_E_CONFIG && token[0] != '\0') {
        /* Not for a spoilt file: without a token the first report authenticates. */
        iotda_config_set_token(config, "");
        status = iotda_init(config, &client, &call);
    }
    iotda_config_free(config);
    if (status != IOTDA_OK) {
        fprintf(stderr, "firmware: %s\n", call.message);
        return EXIT_FAILURE;
    }

    iotda_props_t *props = iotda_props_new();
    for (unsigned long done = 0; !stopped && (wanted == 0 || done < wanted);) {
        double load = 0;
        getloadavg(&load, 1);
        iotda_props_clear(props);
        iotda_props_add_double(props, "Load", load);
        iotda_service_t service = {"host", iotda_props_json(props), IOTDA_TIME_NONE};
        status = iotda_report_props(client, &service, 1, &call);
        if (status == IOTDA_OK) {
            done++;
            save_token(client, argv[4]);
        } else {
            fprintf(stderr, "firmware: %s: %s\n", iotda_status_name(status), call.message);
            if (status == IOTDA_E_AUTH_FAILED || status == IOTDA_E_REJECTED ||
                status == IOTDA_E_TLS)
                break; /* what time does not mend */
        }
        if (!stopped && (wanted == 0 || done < wanted))
            sleep_ms(call.retry_after_ms > interval_ms ? call.retry_after_ms : interval_ms);
    }
    iotda_props_free(props);
    iotda_close(client);
    return status == IOTDA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
