#include <iotda.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    const char *secret = "my-secret";
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, "https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com");
    iotda_config_set_device(config, "my_device", secret, strlen(secret));
    iotda_config_set_ca_file(config, "ca.pem"); /* without it: the public authorities */

    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    iotda_config_free(config);
    if (status == IOTDA_OK) {
        iotda_service_t weather = {"weather", "{\"Temperature\": 21.5}", IOTDA_TIME_NONE};
        status = iotda_report_props(client, &weather, 1, &call);
        iotda_close(client);
    }
    if (status != IOTDA_OK)
        fprintf(stderr, "%s: %s\n", iotda_status_name(status), call.message);
    return status != IOTDA_OK;
}
