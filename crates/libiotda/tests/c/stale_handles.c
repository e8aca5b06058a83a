/*
 * Pointers that are no handle, or none any more: a message instead of a crash. Run without valgrind, which reports
 * that memory is read that was freed; that is what the library does to find out.
 */
#include "check.h"

/* A pointer that the compiler knows nothing of: it warns of the use of what was freed. */
#define STALE(type, made, freed)                                                                   \
    type *volatile hidden = (made);                                                                \
    freed(hidden);                                                                                 \
    freed(hidden);                                                                                 \
    type *stale = hidden

#define REFUSED(function_call, text)                                                               \
    do {                                                                                           \
        CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, function_call);                                     \
        CHECK(strstr(call.message, text) != NULL);                                                 \
    } while (0)

static iotda_call_t call = {0};
static iotda_service_t service = {"s", "{}", IOTDA_TIME_NONE};
static iotda_child_t child = {"c", &service, 1};

static void every_call_of_a_client(iotda_client_t *client) {
    iotda_client_t *device = NULL;
    char token[512];
    iotda_stats_t stats = {0};
    REFUSED(iotda_auth(client, &call), "was closed");
    REFUSED(iotda_report_props(client, &service, 1, &call), "was closed");
    REFUSED(iotda_report_props_json(client, "{}", 2, &call), "was closed");
    REFUSED(iotda_report_message(client, "x", 1, &call), "was closed");
    REFUSED(iotda_gateway_batch(client, &child, 1, NULL, &call), "was closed");
    REFUSED(iotda_gateway_batch_json(client, "{}", 2, NULL, 0, NULL, &call), "was closed");
    REFUSED(iotda_open_device(client, "d", "s", 1, &device, &call), "was closed");
    REFUSED(iotda_token_export(client, token, sizeof token, NULL, &call), "was closed");
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_stats(client, &stats));
    CHECK(iotda_server_time_ms(client) == 0);
    CHECK(iotda_token_remaining_ms(client) == 0);
    CHECK(device == NULL);
}

static void closed_client(void) {
    STALE(iotda_client_t, client_from_environment(), iotda_close);
    every_call_of_a_client(stale);
}

static void freed_config(void) {
    STALE(iotda_config_t, config_from_environment(), iotda_config_free);
    iotda_client_t *client = NULL;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_timeout_ms(stale, 1000));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_clock(stale, NULL, NULL, NULL));
    REFUSED(iotda_init(stale, &client, &call),
            "a config of iotda_config_new as config: this is none, or was freed");
    CHECK(client == NULL);
}

static void freed_builder(void) {
    STALE(iotda_props_t, iotda_props_new(), iotda_props_free);
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_props_add_integer(stale, "n", 1));
    iotda_props_clear(stale);
    CHECK(iotda_props_json(stale) == NULL);
}

static void freed_cancel_handle(iotda_client_t *client) {
    STALE(iotda_cancel_t, iotda_cancel_new(), iotda_cancel_free);
    iotda_cancel_trigger(stale);
    call.cancel = stale;
    REFUSED(iotda_report_message(client, "x", 1, &call), "cancel");
    call.cancel = NULL;
}

/* What is passed for something else, and what lies on the stack, at whatever address. */
static void foreign_pointers(iotda_client_t *client) {
    iotda_config_t *config = config_from_environment();
    iotda_props_t *props = iotda_props_new();
    iotda_cancel_t *cancel = iotda_cancel_new();
    every_call_of_a_client((iotda_client_t *)(void *)config);
    every_call_of_a_client((iotda_client_t *)(void *)props);
    every_call_of_a_client((iotda_client_t *)(void *)cancel);
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                 iotda_config_set_timeout_ms((iotda_config_t *)(void *)client, 1000));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                 iotda_props_add_integer((iotda_props_t *)(void *)cancel, "n", 1));
    call.cancel = (iotda_cancel_t *)(void *)props;
    REFUSED(iotda_report_message(client, "x", 1, &call), "cancel");
    call.cancel = NULL;

    static uint64_t memory[64];
    for (size_t i = 0; i < sizeof(uint64_t); i++)
        every_call_of_a_client((iotda_client_t *)(void *)((char *)memory + i));
    /* Freeing what is none does nothing to it. */
    memset(memory, 0x5a, sizeof memory);
    iotda_close((iotda_client_t *)(void *)memory);
    iotda_config_free((iotda_config_t *)(void *)client);
    iotda_props_free((iotda_props_t *)(void *)client);
    iotda_cancel_free((iotda_cancel_t *)(void *)client);
    iotda_close((iotda_client_t *)(void *)config);
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        CHECK(memory[i] == UINT64_C(0x5a5a5a5a5a5a5a5a));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_timeout_ms(config, 1000));
    iotda_config_free(config);
    iotda_props_free(props);
    iotda_cancel_free(cancel);
}

int main(void) {
    closed_client();
    freed_config();
    freed_builder();
    iotda_client_t *client = client_from_environment();
    freed_cancel_handle(client);
    foreign_pointers(client);
    /* None of it hurt the one that is good. */
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "good", 4, &call));
    iotda_close(client);
    return EXIT_SUCCESS;
}
