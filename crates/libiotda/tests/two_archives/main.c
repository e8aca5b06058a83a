/*
 * Two Rust libraries in one program, each with a standard library of its own: both panic and both catch,
 * in turns, and libiotda reports in between.
 */
#include <iotda.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned other_panics(unsigned times);
void iotda_test_panic_next(void);

static void expect(iotda_status_t expected, iotda_status_t status, const iotda_call_t *call) {
    if (status == expected)
        return;
    fprintf(stderr, "%s instead of %s: %s\n", iotda_status_name(status),
            iotda_status_name(expected), call->message);
    exit(EXIT_FAILURE);
}

int main(void) {
    const char *secret = getenv("IOTDA_DEVICE_SECRET");
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, getenv("IOTDA_ENDPOINT"));
    iotda_config_set_device(config, getenv("IOTDA_DEVICE_ID"), secret, strlen(secret));
    iotda_config_set_ca_file(config, getenv("IOTDA_CA_FILE"));

    for (int round = 0; round < 3; round++) {
        iotda_client_t *client = NULL;
        iotda_call_t call = IOTDA_CALL_INIT;
        expect(IOTDA_OK, iotda_init(config, &client, &call), &call);
        if (other_panics(3) != 3) {
            fprintf(stderr, "the other library did not catch what it threw\n");
            return EXIT_FAILURE;
        }
        expect(IOTDA_OK, iotda_report_message(client, "between", 7, &call), &call);
        iotda_test_panic_next();
        expect(IOTDA_E_INTERNAL, iotda_report_message(client, "panics", 6, &call), &call);
        iotda_close(client);
    }
    iotda_config_free(config);
    return EXIT_SUCCESS;
}
