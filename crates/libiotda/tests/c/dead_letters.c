/*
 * What the platform refuses for good becomes a dead letter, of which every member can be read. The stand-in platform
 * refuses the first message and the first batch.
 */
#define _POSIX_C_SOURCE 200809L /* mkdtemp, clock_gettime */

#include "check.h"
#include "directory.h"

#include <time.h>

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads the letter behind `after`, whose body has `text` in it. */
static iotda_dead_t letter_behind(iotda_outbox_t *outbox, uint64_t after, const char *text) {
    iotda_dead_t dead = {.struct_size = sizeof dead};
    char body[256] = "";
    size_t length = 0;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_dead_read(outbox, after, &dead, body, sizeof body - 1,
                                                  &length, &call));
    CHECK(length < sizeof body);
    body[length] = '\0';
    CHECK(dead.number > after && strstr(body, text) != NULL);
    CHECK(dead.status == IOTDA_E_REJECTED && strcmp(dead.platform_code, "IOTDA.000006") == 0);
    return dead;
}

int main(void) {
    make_directory();
    iotda_client_t *client = client_from_environment();
    const char *own = setting("IOTDA_DEVICE_ID");
    iotda_outbox_options_t options = IOTDA_OUTBOX_OPTIONS_INIT;
    options.directory = directory;
    options.start_worker = false;
    iotda_outbox_t *outbox = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_open(client, &options, &outbox, &call));

    iotda_service_t service = {"s", "{\"v\":7}", IOTDA_TIME_NONE};
    iotda_child_t child = {"child_1", &service, 1};
    uint64_t message_id = 0, child_id = 0;
    int64_t before = now_ms();
    CHECK_STATUS(IOTDA_OK,
                 iotda_outbox_put_message(outbox, client, "refused", 7, &message_id, &call));
    CHECK_STATUS(IOTDA_OK, iotda_outbox_put_batch(outbox, client, &child, 1, &child_id, &call));
    int64_t after = now_ms();
    call.timeout_ms = 60000;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_flush(outbox, &call));

    /* In the order in which they were refused, which between devices may be any. */
    iotda_dead_t first = {.struct_size = sizeof first};
    CHECK_STATUS(IOTDA_E_TOO_LARGE,
                 iotda_outbox_dead_read(outbox, 0, &first, NULL, 0, NULL, &call));
    bool message_first = first.kind == IOTDA_ENTRY_MESSAGE;
    uint64_t behind = first.number;
    iotda_dead_t message = letter_behind(outbox, message_first ? 0 : behind, "refused");
    iotda_dead_t reading = letter_behind(outbox, message_first ? behind : 0, "{\"v\":7}");
    CHECK(message.id == message_id && message.kind == IOTDA_ENTRY_MESSAGE);
    CHECK(strcmp(message.device_id, own) == 0 && message.gateway_id[0] == '\0');
    CHECK(reading.id == child_id && reading.kind == IOTDA_ENTRY_CHILD);
    CHECK(strcmp(reading.device_id, "child_1") == 0 && strcmp(reading.gateway_id, own) == 0);
    /* The outbox keeps whole seconds. */
    CHECK(message.time_ms >= before - 1000 && message.time_ms <= after);
    CHECK(reading.time_ms >= before - 1000 && reading.time_ms <= after);

    uint64_t last = message.number > reading.number ? message.number : reading.number;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_dead_read(outbox, last, &first, NULL, 0, NULL, &call));
    CHECK(first.number == 0);
    CHECK_STATUS(IOTDA_OK, iotda_outbox_dead_forget(outbox, last));
    CHECK_STATUS(IOTDA_OK, iotda_outbox_dead_read(outbox, 0, &first, NULL, 0, NULL, &call));
    CHECK(first.number == 0);
    iotda_outbox_close(outbox);
    iotda_close(client);
    remove_directory();
    return EXIT_SUCCESS;
}
