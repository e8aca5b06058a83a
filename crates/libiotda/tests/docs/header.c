/* The example at the head of iotda.h, in a function that has its variables. */
#include <iotda.h>

#include <stdio.h>
#include <string.h>

static void example(const char *device_id, const char *secret, size_t secret_length) {
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, "https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com");
    iotda_config_set_device(config, device_id, secret, secret_length);

    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    if (iotda_init(config, &client, &call) != IOTDA_OK)
        fprintf(stderr, "%s\n", call.message);
    iotda_config_free(config);

    if (iotda_report_message(client, "hello", 5, &call) != IOTDA_OK)
        fprintf(stderr, "%s\n", call.message);
    iotda_close(client);
}

int main(void) {
    const char *secret = "my-secret";
    example("my_device", secret, strlen(secret));
    return 0;
}
