/*
 * Every function with what it must refuse: NULL for each pointer, wrong lengths, text that is not UTF-8,
 * unknown numbers, structs that are zeroed or of the wrong size. Nothing here may touch the network.
 */
#include "check.h"

#include <stdint.h>

#define REFUSED(call) CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, call)

static const char not_utf8[] = "a\xff";

static void config(void) {
    iotda_config_t *config = iotda_config_new();
    REFUSED(iotda_config_set_endpoint(NULL, "https://localhost"));
    REFUSED(iotda_config_set_endpoint(config, NULL));
    REFUSED(iotda_config_set_endpoint(config, not_utf8));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_endpoint(config, ""));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_endpoint(config, "http://localhost"));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_endpoint(config, "https://localhost/path"));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_endpoint(config, "https://localhost:65536"));

    REFUSED(iotda_config_set_device(NULL, "device", "secret", 6));
    REFUSED(iotda_config_set_device(config, NULL, "secret", 6));
    REFUSED(iotda_config_set_device(config, "device", NULL, 6));
    REFUSED(iotda_config_set_device(config, "device", NULL, 0));
    REFUSED(iotda_config_set_device(config, "device", "secret", 0));
    REFUSED(iotda_config_set_device(config, "device", "secret", SIZE_MAX));
    REFUSED(iotda_config_set_device(config, "", "secret", 6));
    REFUSED(iotda_config_set_device(config, "a b", "secret", 6));
    REFUSED(iotda_config_set_device(config, not_utf8, "secret", 6));

    REFUSED(iotda_config_set_sign_type(NULL, 0));
    REFUSED(iotda_config_set_sign_type(config, -1));
    REFUSED(iotda_config_set_sign_type(config, 2));
    REFUSED(iotda_config_set_sign_type(config, INT32_MAX));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_sign_type(config, 1));

    REFUSED(iotda_config_set_ca_pem(NULL, "x", 1));
    REFUSED(iotda_config_set_ca_pem(config, NULL, 1));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_ca_pem(config, "", 0));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_ca_pem(config, "x", 1));
    REFUSED(iotda_config_set_ca_pem(config, "x", SIZE_MAX));

    REFUSED(iotda_config_set_ca_file(NULL, "ca.pem"));
    REFUSED(iotda_config_set_ca_file(config, NULL));

    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_ca_file(config, "no such file"));
    /* A path is bytes: this one is only not there. */
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_ca_file(config, not_utf8));

    REFUSED(iotda_config_set_timeout_ms(NULL, 1000));
    REFUSED(iotda_config_set_timeout_ms(config, 0));
    REFUSED(iotda_config_set_connect_timeout_ms(NULL, 1000));
    REFUSED(iotda_config_set_connect_timeout_ms(config, 0));
    iotda_config_free(config);
    iotda_config_free(NULL);
}

static void init(void) {
    iotda_config_t *config = config_from_environment();
    iotda_client_t *client = (iotda_client_t *)config; /* anything but NULL, to see that it stays */
    iotda_call_t call = IOTDA_CALL_INIT;
    REFUSED(iotda_init(NULL, &client, &call));
    CHECK(client == (iotda_client_t *)config);
    CHECK(strlen(call.message) > 0);
    REFUSED(iotda_init(config, NULL, &call));
    iotda_config_free(config);

    config = iotda_config_new();
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_init(config, &client, &call));
    CHECK(strlen(call.message) > 0);
    iotda_config_free(config);
}

static void device(iotda_client_t *client) {
    iotda_client_t *device = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    REFUSED(iotda_open_device(NULL, "device", "secret", 6, &device, &call));
    REFUSED(iotda_open_device(client, NULL, "secret", 6, &device, &call));
    REFUSED(iotda_open_device(client, not_utf8, "secret", 6, &device, &call));
    REFUSED(iotda_open_device(client, "a/b", "secret", 6, &device, &call));
    REFUSED(iotda_open_device(client, "device", NULL, 6, &device, &call));
    REFUSED(iotda_open_device(client, "device", "secret", 0, &device, &call));
    REFUSED(iotda_open_device(client, "device", "secret", SIZE_MAX, &device, &call));
    CHECK(device == NULL);
    REFUSED(iotda_open_device(client, "device", "secret", 6, NULL, &call));
    REFUSED(iotda_open_device_with_token(NULL, "device", "secret", 6, NULL, &device, &call));
    REFUSED(iotda_open_device_with_token(client, NULL, "secret", 6, NULL, &device, &call));
    REFUSED(iotda_open_device_with_token(client, "device", "", 0, "token", &device, &call));
    REFUSED(iotda_open_device_with_token(client, "device", "secret", 6, NULL, NULL, &call));
    CHECK(device == NULL);
    REFUSED(iotda_token_import(NULL, "token", &call));
    REFUSED(iotda_token_import(client, NULL, &call));
    REFUSED(iotda_token_import(client, not_utf8, &call));
    CHECK(strlen(call.message) > 0);
}

static void properties(iotda_client_t *client) {
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_service_t good = {"s", "{}", IOTDA_TIME_NONE};
    REFUSED(iotda_report_props(NULL, &good, 1, &call));
    REFUSED(iotda_report_props(client, NULL, 1, &call));
    REFUSED(iotda_report_props(client, NULL, 0, &call));
    REFUSED(iotda_report_props(client, &good, 0, &call));
    REFUSED(iotda_report_props(client, &good, SIZE_MAX, &call));
    REFUSED(iotda_report_props(client, &good, SIZE_MAX / sizeof good + 1, &call));

    static const iotda_service_t wrong[] = {
        {NULL, NULL, 0},        {NULL, "{}", 0},    {"s", NULL, 0},  {"", "{}", 0},
        {not_utf8, "{}", 0},    {"s", not_utf8, 0}, {"s", "", 0},    {"s", "[]", 0},
        {"s", "{", 0},          {"s", "{}x", 0},    {"s", "{}", -1}, {"s", "{}", INT64_MAX},
        {"s", "{}", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        iotda_service_t services[2] = {good, wrong[i]};
        iotda_call_t outcome = IOTDA_CALL_INIT;
        REFUSED(iotda_report_props(client, services, 2, &outcome));
        CHECK(strstr(outcome.message, "services[1]") != NULL);
        CHECK(outcome.attempts == 0);
    }

    static const char *const bodies[] = {"", "{", "[]", "{}", "{\"services\":[]}", not_utf8};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        REFUSED(iotda_report_props_json(client, bodies[i], strlen(bodies[i]), &call));
    REFUSED(iotda_report_props_json(NULL, "{}", 2, &call));
    REFUSED(iotda_report_props_json(client, NULL, 2, &call));
    REFUSED(iotda_report_props_json(client, NULL, 0, &call));
    REFUSED(iotda_report_props_json(client, "{}", SIZE_MAX, &call));
}

static void message(iotda_client_t *client) {
    iotda_call_t call = IOTDA_CALL_INIT;
    REFUSED(iotda_report_message(NULL, "x", 1, &call));
    REFUSED(iotda_report_message(client, NULL, 1, &call));
    REFUSED(iotda_report_message(client, "x", SIZE_MAX, &call));
}

static void batch(iotda_client_t *client) {
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_service_t service = {"s", "{}", IOTDA_TIME_NONE};
    iotda_child_t good = {"child", &service, 1};
    REFUSED(iotda_gateway_batch(NULL, &good, 1, NULL, &call));
    REFUSED(iotda_gateway_batch(client, NULL, 1, NULL, &call));
    REFUSED(iotda_gateway_batch(client, NULL, 0, NULL, &call));
    REFUSED(iotda_gateway_batch(client, &good, 0, NULL, &call));
    REFUSED(iotda_gateway_batch(client, &good, SIZE_MAX, NULL, &call));

    static const iotda_service_t bad_service = {NULL, NULL, 0};
    const iotda_child_t wrong[] = {
        {NULL, NULL, 0},
        {NULL, &service, 1},
        {"", &service, 1},
        {"a b", &service, 1},
        {not_utf8, &service, 1},
        {"child", NULL, 1},
        {"child", NULL, 0},
        {"child", &service, 0},
        {"child", &service, SIZE_MAX},
        {"child", &bad_service, 1},
    };
    /* What becomes of the others beside one that is wrong is in batch.c. */
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        iotda_child_t children[2] = {{"a b", &service, 1}, wrong[i]};
        iotda_call_t outcome = IOTDA_CALL_INIT;
        iotda_status_t child_status[3] = {IOTDA_OK, IOTDA_OK, 99};
        REFUSED(iotda_gateway_batch(client, children, 2, child_status, &outcome));
        CHECK(child_status[0] == IOTDA_E_INVALID_ARGUMENT &&
              child_status[1] == IOTDA_E_INVALID_ARGUMENT);
        CHECK(child_status[2] == 99); /* of no child */
        CHECK(strstr(outcome.message, "children[0].device_id") != NULL);
        REFUSED(iotda_gateway_batch(client, &wrong[i], 1, child_status, &outcome));
        CHECK(strstr(outcome.message, "children[0]") != NULL);
        CHECK(outcome.attempts == 0 && !outcome.may_have_arrived);
    }

    iotda_status_t statuses[2] = {99, 99};
    static const char *const bodies[] = {"", "{", "[]", "{}", "{\"devices\":[]}", not_utf8};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        size_t count = 99;
        REFUSED(iotda_gateway_batch_json(client, bodies[i], strlen(bodies[i]), statuses, 2, &count,
                                         &call));
        CHECK(count == 0);
    }
    size_t count = 99;
    REFUSED(iotda_gateway_batch_json(NULL, "{}", 2, statuses, 2, &count, &call));
    CHECK(count == 0);
    REFUSED(iotda_gateway_batch_json(client, NULL, 2, NULL, 0, NULL, &call));
    REFUSED(iotda_gateway_batch_json(client, NULL, 0, NULL, 0, NULL, &call));
    REFUSED(iotda_gateway_batch_json(client, "{}", SIZE_MAX, NULL, 0, NULL, &call));

    /* Children that are all wrong, each in its own way: counted, and each has its status. */
    static const char three[] = "{\"devices\":[{},1,{\"device_id\":\"c\",\"services\":[]}]}";
    iotda_status_t of_three[4] = {99, 99, 99, 99};
    REFUSED(iotda_gateway_batch_json(client, three, sizeof three - 1, of_three, 2, &count, &call));
    CHECK(count == 3 && of_three[0] == 99 && strstr(call.message, "room for 3 statuses") != NULL);
    REFUSED(iotda_gateway_batch_json(client, three, sizeof three - 1, of_three, 3, &count, &call));
    CHECK(count == 3 && of_three[3] == 99);
    for (size_t i = 0; i < 3; i++)
        CHECK(of_three[i] == IOTDA_E_INVALID_ARGUMENT);
    REFUSED(iotda_gateway_batch_json(client, three, sizeof three - 1, NULL, 0, &count, &call));
    CHECK(count == 3);
    REFUSED(iotda_gateway_batch_json(client, three, sizeof three - 1, of_three, 4, NULL, &call));
    CHECK(statuses[0] == 99 && statuses[1] == 99);
}

/* What is refused without being sent: as the report of the same name, and without a client. */
static void checks(iotda_client_t *client) {
    const iotda_service_t good = {"s", "{}", IOTDA_TIME_NONE};
    CHECK_STATUS(IOTDA_OK, iotda_check_props(&good, 1, NULL));
    REFUSED(iotda_check_props(NULL, 1, NULL));
    const iotda_service_t wrong[] = {
        {NULL, "{}", 0},    {"s", NULL, 0}, {"", "{}", 0},
        {"s", not_utf8, 0}, {"s", "[]", 0}, {"s", "{}", -1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        iotda_call_t report = IOTDA_CALL_INIT;
        iotda_call_t checked = IOTDA_CALL_INIT;
        REFUSED(iotda_report_props(client, &wrong[i], 1, &report));
        REFUSED(iotda_check_props(&wrong[i], 1, &checked));
        CHECK(strlen(checked.message) > 0 && strcmp(report.message, checked.message) == 0);
    }
    iotda_call_t call = IOTDA_CALL_INIT;
    char *large = object_of(1048576);
    const iotda_service_t too_large = {"s", large, IOTDA_TIME_NONE};
    CHECK_STATUS(IOTDA_E_TOO_LARGE, iotda_check_props(&too_large, 1, &call));
    CHECK_STATUS(IOTDA_E_TOO_LARGE, iotda_check_message(large, 1048576, &call));
    CHECK_STATUS(IOTDA_OK, iotda_check_message(large, 1048575, &call));
    CHECK_STATUS(IOTDA_OK, iotda_check_message(NULL, 0, &call));
    REFUSED(iotda_check_message(NULL, 1, &call));

    static const char body[] = "{\"services\":[{\"service_id\":\"s\",\"properties\":{}}]}";
    CHECK_STATUS(IOTDA_OK, iotda_check_props_json(body, sizeof body - 1, &call));
    CHECK(call.message[0] == '\0');
    REFUSED(iotda_check_props_json(body, sizeof body - 2, &call));
    REFUSED(iotda_check_props_json(NULL, 1, &call));
    REFUSED(iotda_check_props_json(not_utf8, sizeof not_utf8 - 1, &call));

    const iotda_child_t children[] = {
        {"a", &good, 1},  {"b", &too_large, 1}, {"c c", &good, 1},
        {NULL, &good, 1}, {"e", NULL, 1},       {"f", &good, 1},
    };
    iotda_status_t statuses[7] = {99, 99, 99, 99, 99, 99, 99};
    CHECK_STATUS(IOTDA_E_TOO_LARGE, iotda_check_batch(children, 6, statuses, &call));
    CHECK(strstr(call.message, "children[1]") != NULL);
    static const iotda_status_t expected[] = {
        IOTDA_OK,
        IOTDA_E_TOO_LARGE,
        IOTDA_E_INVALID_ARGUMENT,
        IOTDA_E_INVALID_ARGUMENT,
        IOTDA_E_INVALID_ARGUMENT,
        IOTDA_OK,
        99,
    };
    CHECK(memcmp(statuses, expected, sizeof expected) == 0);
    REFUSED(iotda_check_batch(children + 2, 1, NULL, &call));
    CHECK_STATUS(IOTDA_OK, iotda_check_batch(children, 1, statuses, &call));
    REFUSED(iotda_check_batch(NULL, 1, statuses, &call));
    REFUSED(iotda_check_batch(children, 0, statuses, &call));
    CHECK(statuses[0] == IOTDA_OK);
    call.struct_size = 1;
    REFUSED(iotda_check_message("x", 1, &call));
    free(large);
}

/* A call struct that is zeroed, or of an older or a newer header, or is none. */
static void call_struct(iotda_client_t *client) {
    REFUSED(iotda_auth(NULL, NULL));
    iotda_call_t outcome = IOTDA_CALL_INIT;
    REFUSED(iotda_auth(NULL, &outcome));
    CHECK(strstr(outcome.message, "as client: it is NULL") != NULL);
    outcome = IOTDA_CALL_INIT;
    CHECK(outcome.struct_size == sizeof outcome && outcome.message[0] == '\0');

    static iotda_call_t zeroed;
    REFUSED(iotda_report_message(client, NULL, 1, &zeroed));
    CHECK(strstr(zeroed.message, "pass data") == zeroed.message);
    CHECK(zeroed.struct_size == 0);

    /* No header had a smaller one: the number is wrong, and that is said. */
    const size_t wrong[] = {1, sizeof(void *), sizeof outcome - 1};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        outcome = IOTDA_CALL_INIT;
        outcome.struct_size = wrong[i];
        outcome.http_status = 99;
        REFUSED(iotda_report_message(client, "x", 1, &outcome));
        CHECK(strstr(outcome.message, "IOTDA_CALL_INIT") != NULL);
        CHECK(outcome.struct_size == wrong[i] && outcome.http_status == 0);
    }

    /* Newer by a field: what it does not know, the library leaves alone. */
    struct {
        iotda_call_t call;
        char more[16];
    } newer = {IOTDA_CALL_INIT, "left alone"};
    newer.call.struct_size = sizeof newer;
    REFUSED(iotda_report_message(client, NULL, 1, &newer.call));
    CHECK(strlen(newer.call.message) > 0);
    CHECK(strcmp(newer.more, "left alone") == 0);
}

static void builder(void) {
    iotda_props_t *props = iotda_props_new();
    REFUSED(iotda_props_add_integer(NULL, "n", 1));
    REFUSED(iotda_props_add_integer(props, NULL, 1));
    REFUSED(iotda_props_add_integer(props, not_utf8, 1));
    REFUSED(iotda_props_add_double(NULL, "n", 1));
    REFUSED(iotda_props_add_double(props, NULL, 1));
    REFUSED(iotda_props_add_boolean(NULL, "n", true));
    REFUSED(iotda_props_add_boolean(props, NULL, true));
    REFUSED(iotda_props_add_string(NULL, "n", "x"));
    REFUSED(iotda_props_add_string(props, NULL, "x"));
    REFUSED(iotda_props_add_string(props, "n", NULL));
    REFUSED(iotda_props_add_json(NULL, "n", "1"));
    REFUSED(iotda_props_add_json(props, NULL, "1"));
    REFUSED(iotda_props_add_json(props, "n", NULL));
    CHECK(iotda_props_json(NULL) == NULL);
    CHECK(strcmp(iotda_props_json(props), "{}") == 0);
    iotda_props_clear(NULL);
    iotda_props_free(NULL);
    iotda_props_free(props);
}

static void names(void) {
    CHECK(strcmp(iotda_status_name(IOTDA_OK), "IOTDA_OK") == 0);
    CHECK(strcmp(iotda_status_name(IOTDA_E_FORKED), "IOTDA_E_FORKED") == 0);
    /* An unknown number has a name and a text too. */
    CHECK(iotda_status_name(INT32_MIN) != NULL && iotda_status_name(INT32_MAX) != NULL);
    CHECK(strlen(iotda_status_text(IOTDA_E_TLS)) > 0 && strlen(iotda_status_text(-1)) > 0);
    CHECK(strlen(iotda_version()) > 0 && iotda_abi_version() == IOTDA_ABI_VERSION);
}

int main(void) {
    config();
    init();
    iotda_client_t *client = client_from_environment();
    device(client);
    properties(client);
    message(client);
    batch(client);
    checks(client);
    call_struct(client);
    iotda_close(client);
    iotda_close(NULL);
    builder();
    names();
    return EXIT_SUCCESS;
}
