/* Gives the library bytes that were never written, which valgrind must find, whatever is suppressed. Nothing is sent. */
#include <iotda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, "https://127.0.0.1:1");
    iotda_config_set_device(config, "device", "secret", strlen("secret"));
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    iotda_config_free(config);
    if (status != IOTDA_OK) {
        fprintf(stderr, "%s\n", call.message);
        return 1;
    }
    char *bytes = malloc(64);
    if (bytes == NULL)
        return 1;
    /* A string without its end, so that it is looked at and refused. */
    memcpy(bytes, "{\"services\":[\"", 14);
    status = iotda_report_props_json(client, bytes, 64, &call);
    free(bytes);
    iotda_close(client);
    return status == IOTDA_OK;
}
