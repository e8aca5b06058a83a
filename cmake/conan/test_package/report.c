/* Makes a client, and reports a message where the environment says which platform to report to. */
#include <iotda.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    const char *endpoint = getenv("IOTDA_ENDPOINT");
    const char *device = getenv("IOTDA_DEVICE_ID");
    const char *secret = getenv("IOTDA_DEVICE_SECRET");
    const char *ca_file = getenv("IOTDA_CA_FILE");
    int reports = endpoint != NULL && device != NULL && secret != NULL;

    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, reports ? endpoint : "https://localhost");
    iotda_config_set_device(config, reports ? device : "device", reports ? secret : "secret",
                            reports ? strlen(secret) : 6);
    if (ca_file != NULL)
        iotda_config_set_ca_file(config, ca_file);

    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    iotda_config_free(config);
    if (status == IOTDA_OK && reports)
        status = iotda_report_message(client, "by Conan", 8, &call);
    iotda_close(client);
    if (status != IOTDA_OK) {
        fprintf(stderr, "%s: %s\n", iotda_status_name(status), call.message);
        return EXIT_FAILURE;
    }
    printf("libiotda %s %s\n", iotda_version(), reports ? "has reported" : "is there");
    return EXIT_SUCCESS;
}
