/*
 * What a device does in the field: it saves its token, sleeps and wakes; it is watched; it is stopped.
 * What must arrive is in ../c.rs.
 */
#include "check.h"

static size_t lines;

/* Every line, whatever is logged, is free of what is secret. */
static void look_for_secrets(void *user_data, int32_t level, const char *message) {
    (void)level;
    CHECK(strstr(message, setting("IOTDA_DEVICE_SECRET")) == NULL);
    CHECK(strstr(message, "iotda-token") == NULL);
    const char *token = user_data;
    CHECK(token[0] == '\0' || strstr(message, strrchr(token, ' ') + 1) == NULL);
    lines++;
}

/* The room that is needed is said, so that it can be made; nothing is written before it is there. */
static void too_little_room_for_the_token(iotda_client_t *client, const char *token) {
    char room[512];
    char needed[16];
    iotda_call_t call = IOTDA_CALL_INIT;
    const size_t sizes[] = {0, 1, strlen(token)};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t length = 0;
        memset(room, 'r', sizeof room);
        CHECK_STATUS(
            IOTDA_E_INVALID_ARGUMENT,
            iotda_token_export(client, sizes[i] == 0 ? NULL : room, sizes[i], &length, &call));
        CHECK(length == strlen(token));
        snprintf(needed, sizeof needed, "%zu bytes", length + 1);
        CHECK(strstr(call.message, needed) != NULL);
        CHECK(room[0] == 'r' && room[sizes[i]] == 'r');
    }
    size_t length = 0;
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, room, strlen(token) + 1, &length, &call));
    CHECK(strlen(room) == length);
}

int main(void) {
    static char token[512];
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK,
                 iotda_config_set_log(config, IOTDA_LOG_DEBUG, look_for_secrets, token, NULL));
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, &call));

    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "before the sleep", 16, &call));
    size_t length = 0;
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, token, sizeof token, &length, &call));
    CHECK(length > 32 && length == strlen(token));
    too_little_room_for_the_token(client, token);
    CHECK(iotda_server_time_ms(client) > 1700000000000);
    /* A token of the platform lasts a day. */
    int64_t remaining = iotda_token_remaining_ms(client);
    CHECK(remaining > 23 * 3600000 && remaining <= 24 * 3600000);
    iotda_stats_t stats = {.struct_size = sizeof stats};
    CHECK_STATUS(IOTDA_OK, iotda_stats(client, &stats));
    CHECK(stats.requests == 1 && stats.authentications == 1 && stats.handshakes_full == 1);
    CHECK(stats.bytes_sent > stats.body_bytes_sent && stats.bytes_received > 0);
    CHECK(lines > 0);
    iotda_close(client);

    /* After the sleep the token serves on: no second authentication. */
    CHECK_STATUS(IOTDA_OK, iotda_config_set_token(config, token));
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, &call));
    iotda_config_free(config);
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "after the sleep", 15, &call));

    iotda_cancel_t *cancel = iotda_cancel_new();
    call.cancel = cancel;
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "not cancelled", 13, &call));
    iotda_cancel_trigger(cancel);
    CHECK_STATUS(IOTDA_E_CANCELLED, iotda_report_message(client, "cancelled", 9, &call));
    iotda_cancel_free(cancel);
    iotda_close(client);
    return EXIT_SUCCESS;
}
