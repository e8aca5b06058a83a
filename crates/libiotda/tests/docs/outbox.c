/* README.md's outbox, in a program that has its variables. */
#include <iotda.h>

#include <stdio.h>
#include <string.h>

int main(void) {
    const char *secret = "my-secret";
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, "https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com");
    iotda_config_set_device(config, "my_device", secret, strlen(secret));
    iotda_config_set_ca_file(config, "ca.pem");
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_init(config, &client, &call);
    iotda_config_free(config);

    iotda_service_t weather = {"weather", "{\"Temperature\": 21.5}", IOTDA_TIME_NONE};
    iotda_outbox_t *outbox = NULL;
    iotda_outbox_options_t options = IOTDA_OUTBOX_OPTIONS_INIT;
    options.directory = "/var/lib/sensor/outbox";
    iotda_outbox_open(client, &options, &outbox, &call);
    iotda_outbox_put_props(outbox, client, &weather, 1, NULL, &call);

    iotda_status_t status = iotda_outbox_flush(outbox, &call);
    if (status != IOTDA_OK)
        fprintf(stderr, "%s: %s\n", iotda_status_name(status), call.message);
    iotda_outbox_close(outbox);
    iotda_close(client);
    return status != IOTDA_OK;
}
