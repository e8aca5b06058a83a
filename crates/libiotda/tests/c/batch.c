/*
 * Batches with children that are wrong in themselves: each has a status that says so, the others arrive. Typed, and as
 * JSON. What must arrive is the good children in order: a, b, c, d, e.
 */
#include "check.h"

static void typed(iotda_client_t *client) {
    iotda_service_t good = {"s", "{\"n\":1}", IOTDA_TIME_NONE};
    iotda_service_t in_seconds = {"s", "{}", 1629000000};
    iotda_service_t no_properties[2] = {{"s", "{}", IOTDA_TIME_NONE}, {"s", NULL, IOTDA_TIME_NONE}};
    iotda_service_t not_text = {"\xff", "{}", IOTDA_TIME_NONE};
    const iotda_child_t children[] = {
        {NULL, &good, 1},    {"a", &good, 1},        {"\xff", &good, 1},      {"x", NULL, 1},
        {"x", &good, 0},     {"x", &good, SIZE_MAX}, {"x", no_properties, 2}, {"b", &good, 1},
        {"x", &not_text, 1}, {"x", &in_seconds, 1},  {"c", &good, 1},
    };
    enum { COUNT = sizeof children / sizeof children[0] };
    iotda_status_t statuses[COUNT];
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_E_PARTIAL, iotda_gateway_batch(client, children, COUNT, statuses, &call));
    for (size_t i = 0; i < COUNT; i++) {
        bool is_good =
            children[i].device_id != NULL && strchr("abc", children[i].device_id[0]) != NULL;
        CHECK_STATUS(is_good ? IOTDA_OK : IOTDA_E_INVALID_ARGUMENT, statuses[i]);
    }
    CHECK(strstr(call.message, "children[0].device_id") != NULL &&
          strstr(call.message, "NULL") != NULL);
    CHECK(call.attempts == 1 && call.http_status == 200 && !call.may_have_arrived);
}

/* Without knowing how many children there are: the room that is needed is said before anything is sent. */
static void as_json(iotda_client_t *client) {
    static const char json[] =
        "{\"devices\":["
        "{\"device_id\":\"d\",\"services\":[{\"service_id\":\"s\",\"properties\":{}}]},"
        "{\"device_id\":\"no id\",\"services\":[{\"service_id\":\"s\",\"properties\":{}}]},"
        "{\"device_id\":\"e\",\"services\":[{\"service_id\":\"s\",\"properties\":{}}]}]}";
    iotda_status_t statuses[4] = {99, 99, 99, 99};
    size_t count = 99;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_gateway_batch_json(client, json, sizeof json - 1,
                                                                    statuses, 2, &count, &call));
    CHECK(count == 3 && statuses[0] == 99 && call.attempts == 0);
    CHECK_STATUS(IOTDA_E_PARTIAL, iotda_gateway_batch_json(client, json, sizeof json - 1, statuses,
                                                           count, &count, &call));
    CHECK(count == 3 && call.attempts == 1);
    CHECK(statuses[0] == IOTDA_OK && statuses[1] == IOTDA_E_INVALID_ARGUMENT &&
          statuses[2] == IOTDA_OK);
    CHECK(statuses[3] == 99);
}

int main(void) {
    iotda_client_t *client = client_from_environment();
    typed(client);
    as_json(client);
    iotda_close(client);
    return EXIT_SUCCESS;
}
