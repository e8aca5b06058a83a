/*
 * A program of a single thread that reports until Ctrl-C, which ends it at once, also in the middle of a call that would
 * have waited for its whole timeout.
 *
 *   interrupt ENDPOINT DEVICE_ID SECRET [CA_FILE]
 *
 * iotda_cancel_trigger may be called in a signal handler. The call that runs returns IOTDA_E_CANCELLED, and so does each
 * later one that is given the same handle; what to do with the measurement that was not reported is up to the program.
 */
#define _POSIX_C_SOURCE 200809L

#include <iotda.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static iotda_cancel_t *cancel;
static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    (void)number;
    interrupted = 1;
    iotda_cancel_trigger(cancel);
}

/* Reports what clock() measures, once a second. Each call can take half a minute when the platform does not answer. */
static iotda_status_t report_until_interrupted(iotda_client_t *client, iotda_call_t *call) {
    const struct timespec second = {.tv_sec = 1};
    iotda_status_t status = IOTDA_OK;
    while (!interrupted) {
        char text[32];
        int length = snprintf(text, sizeof text, "%.3f s", (double)clock() / CLOCKS_PER_SEC);
        status = iotda_report_message(client, text, (size_t)length, call);
        if (status != IOTDA_OK && status != IOTDA_E_CANCELLED)
            fprintf(stderr, "interrupt: %s: %s\n", iotda_status_name(status), call->message);
        if (status != IOTDA_OK && !iotda_status_is_transient(status))
            break;
        if (!interrupted)
            nanosleep(&second, NULL); /* a signal ends it as well */
    }
    return status;
}

int main(int argc, char **argv) {
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: interrupt ENDPOINT DEVICE_ID SECRET [CA_FILE]\n");
        return EXIT_FAILURE;
    }
    /* Before the handler is installed, which uses it. */
    cancel = iotda_cancel_new();
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, argv[1]);
    iotda_config_set_device(config, argv[2], argv[3], strlen(argv[3]));
    if (argc == 5)
        iotda_config_set_ca_file(config, argv[4]);
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    iotda_config_free(config);
    if (status == IOTDA_OK) {
        call.cancel = cancel;
        status = report_until_interrupted(client, &call);
        iotda_close(client);
    } else {
        fprintf(stderr, "interrupt: %s: %s\n", iotda_status_name(status), call.message);
    }

    /* After the last call that was given it, and when no signal can trigger it any more. */
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    iotda_cancel_free(cancel);
    return status == IOTDA_OK || interrupted ? EXIT_SUCCESS : EXIT_FAILURE;
}
