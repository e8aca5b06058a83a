/*
 * All calls of the platform, each in every form that the library offers: C11 and C++17 alike. What
 * must arrive is in ../consumers.rs.
 */
#include <iotda.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(iotda_status_t status, const iotda_call_t *call, int line) {
    if (status == IOTDA_OK)
        return;
    fprintf(stderr, "line %d: %s: %s\n", line, iotda_status_name(status),
            call != NULL ? call->message : iotda_status_text(status));
    exit(EXIT_FAILURE);
}

#define MUST(status) must(status, NULL, __LINE__)
#define MUST_CALL(status) must(status, &call, __LINE__)

static const char *setting(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set\n", name);
        exit(EXIT_FAILURE);
    }
    return value;
}

int main(void) {
    const char *secret = setting("IOTDA_DEVICE_SECRET");
    iotda_config_t *config = iotda_config_new();
    MUST(iotda_config_set_endpoint(config, setting("IOTDA_ENDPOINT")));
    MUST(iotda_config_set_device(config, setting("IOTDA_DEVICE_ID"), secret, strlen(secret)));
    MUST(iotda_config_set_ca_file(config, setting("IOTDA_CA_FILE")));

    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    MUST_CALL(iotda_init(config, &client, &call));
    iotda_config_free(config);

    MUST_CALL(iotda_auth(client, &call));

    iotda_props_t *props = iotda_props_new();
    MUST(iotda_props_add_integer(props, "Height", 124));
    MUST(iotda_props_add_double(props, "Speed", 23.24));
    MUST(iotda_props_add_boolean(props, "Up", true));
    MUST(iotda_props_add_string(props, "Place", "\"B\xc3\xbcro\"\n"));
    MUST(iotda_props_add_json(props, "Raw", "[12345678901234567890123, 1e400]"));
    iotda_service_t service = {"serviceId", iotda_props_json(props), 1628849410555};
    MUST_CALL(iotda_report_props(client, &service, 1, &call));

    const char *json =
        "{ \"services\" : [ "
        "{\"service_id\":\"s\",\"properties\":{\"n\":0.10000000000000000000001}} ] }";
    MUST_CALL(iotda_report_props_json(client, json, strlen(json), &call));

    MUST_CALL(iotda_report_message(client, "a\0b\xff", 4, &call));

    iotda_service_t services[2] = {{"serviceId", "{\"Height\":124}", 1628849410555},
                                   {"other", "{}", IOTDA_TIME_NONE}};
    iotda_child_t children[2] = {{"deviceId_0001", services, 2}, {"deviceId_0002", services, 1}};
    iotda_status_t child_status[2] = {IOTDA_E_INTERNAL, IOTDA_E_INTERNAL};
    MUST_CALL(iotda_gateway_batch(client, children, 2, child_status, &call));
    MUST(child_status[0]);
    MUST(child_status[1]);

    json = "{\"devices\":[{\"device_id\":\"deviceId_0003\",\"services\":"
           "[{\"service_id\":\"s\",\"properties\":{ \"a\":1}}]}]}\n";
    MUST_CALL(iotda_gateway_batch_json(client, json, strlen(json), NULL, 0, NULL, &call));

    iotda_props_free(props);
    iotda_close(client);
    return EXIT_SUCCESS;
}
