/*
 * Reports at the edges of what one call can take. What must arrive is in ../c.rs.
 */
#include "check.h"

static void messages(iotda_client_t *client) {
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "", 0, &call));
    CHECK(call.http_status == 200 && call.attempts == 1);
    CHECK(call.platform_code[0] == '\0');
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, NULL, 0, NULL));
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "\0a\0", 3, NULL));
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "\xff\xfe", 2, NULL));

    enum { LIMIT = 1048576 };
    char *large = calloc(1, LIMIT);
    CHECK(large != NULL);
    CHECK_STATUS(IOTDA_E_TOO_LARGE, iotda_report_message(client, large, LIMIT, &call));
    CHECK(call.http_status == 0 && call.attempts == 0);
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, large, LIMIT - 1, &call));
    free(large);
}

static void hundred_and_twenty_children(iotda_client_t *client) {
    enum { COUNT = 120 };
    static char ids[COUNT][16];
    static iotda_child_t children[COUNT];
    static iotda_status_t statuses[COUNT];
    iotda_service_t service = {"s", "{\"n\":1}", IOTDA_TIME_NONE};
    for (int i = 0; i < COUNT; i++) {
        snprintf(ids[i], sizeof ids[i], "child_%d", i);
        children[i].device_id = ids[i];
        children[i].services = &service;
        children[i].service_count = 1;
        statuses[i] = IOTDA_E_INTERNAL;
    }
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_gateway_batch(client, children, COUNT, statuses, &call));
    CHECK(call.attempts == 3);
    for (int i = 0; i < COUNT; i++)
        CHECK(statuses[i] == IOTDA_OK);
}

static void children_of_400_kilobytes(iotda_client_t *client) {
    char *object = object_of(400 * 1000);
    iotda_service_t service = {"s", object, IOTDA_TIME_NONE};
    iotda_child_t children[5] = {{"large_0", &service, 1},
                                 {"large_1", &service, 1},
                                 {"large_2", &service, 1},
                                 {"large_3", &service, 1},
                                 {"large_4", &service, 1}};
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_gateway_batch(client, children, 5, NULL, &call));
    CHECK(call.attempts == 3);
    free(object);
}

static void one_child_over_the_limit(iotda_client_t *client) {
    char *object = object_of(1048576);
    iotda_service_t small = {"s", "{}", IOTDA_TIME_NONE};
    iotda_service_t large = {"s", object, IOTDA_TIME_NONE};
    iotda_child_t children[3] = {{"before", &small, 1}, {"over", &large, 1}, {"after", &small, 1}};
    iotda_status_t statuses[3] = {IOTDA_E_INTERNAL, IOTDA_E_INTERNAL, IOTDA_E_INTERNAL};
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_E_PARTIAL, iotda_gateway_batch(client, children, 3, statuses, &call));
    CHECK(statuses[0] == IOTDA_OK);
    CHECK(statuses[1] == IOTDA_E_TOO_LARGE);
    CHECK(statuses[2] == IOTDA_OK);
    CHECK(strstr(call.message, "children[1]") != NULL);
    free(object);
}

static void another_device(iotda_client_t *client) {
    iotda_client_t *device = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    const char *secret = setting("IOTDA_DEVICE_SECRET");
    CHECK_STATUS(IOTDA_OK,
                 iotda_open_device(client, "second", secret, strlen(secret), &device, &call));
    CHECK_STATUS(IOTDA_OK, iotda_report_message(device, "from the second", 15, &call));
    iotda_close(device);
}

int main(void) {
    iotda_client_t *client = client_from_environment();
    messages(client);
    hundred_and_twenty_children(client);
    children_of_400_kilobytes(client);
    one_child_over_the_limit(client);
    another_device(client);
    iotda_close(client);
    return EXIT_SUCCESS;
}
