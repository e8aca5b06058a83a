/*
 * A panic inside each function that can fail: an error for the caller, never a crash, and a client or an
 * outbox that it happened in is not used again; one in a thread is in the log. Built against a library that has iotda_test_panic_next().
 */
#define _POSIX_C_SOURCE 200809L /* mkdtemp, fileno */

#include "check.h"
#include "directory.h"

#include <unistd.h>

/* The next call of the library, on any thread, panics inside. */
void iotda_test_panic_next(void);
/* The next thread that the library starts panics. */
void iotda_test_panic_in_next_thread(void);

static const char services_json[] = "{\"services\":[{\"service_id\":\"s\",\"properties\":{}}]}";
static const char devices_json[] =
    "{\"devices\":[{\"device_id\":\"c\",\"services\":[{\"service_id\":\"s\",\"properties\":{}}]}]}";
static iotda_service_t service = {"s", "{}", IOTDA_TIME_NONE};
static iotda_child_t child = {"c", &service, 1};

static iotda_status_t open_device(iotda_client_t *client, iotda_call_t *call) {
    iotda_client_t *device = NULL;
    iotda_status_t status = iotda_open_device(client, "other", "secret", 6, &device, call);
    CHECK(device == NULL);
    return status;
}

static iotda_status_t open_device_with_token(iotda_client_t *client, iotda_call_t *call) {
    iotda_client_t *device = NULL;
    iotda_status_t status =
        iotda_open_device_with_token(client, "other", "secret", 6, NULL, &device, call);
    CHECK(device == NULL);
    return status;
}

static iotda_status_t token_import(iotda_client_t *client, iotda_call_t *call) {
    return iotda_token_import(client, "token", call);
}

static iotda_status_t report_props(iotda_client_t *client, iotda_call_t *call) {
    return iotda_report_props(client, &service, 1, call);
}

static iotda_status_t report_props_json(iotda_client_t *client, iotda_call_t *call) {
    return iotda_report_props_json(client, services_json, sizeof services_json - 1, call);
}

static iotda_status_t report_message(iotda_client_t *client, iotda_call_t *call) {
    return iotda_report_message(client, "x", 1, call);
}

static iotda_status_t gateway_batch(iotda_client_t *client, iotda_call_t *call) {
    return iotda_gateway_batch(client, &child, 1, NULL, call);
}

static iotda_status_t gateway_batch_json(iotda_client_t *client, iotda_call_t *call) {
    return iotda_gateway_batch_json(client, devices_json, sizeof devices_json - 1, NULL, 0, NULL,
                                    call);
}

static iotda_status_t token_export(iotda_client_t *client, iotda_call_t *call) {
    char token[512] = "untouched";
    iotda_status_t status = iotda_token_export(client, token, sizeof token, NULL, call);
    CHECK(strcmp(token, "untouched") == 0);
    return status;
}

typedef iotda_status_t (*client_call_t)(iotda_client_t *client, iotda_call_t *call);

static const client_call_t client_calls[] = {
    iotda_auth,     open_device,   open_device_with_token, report_props, report_props_json,
    report_message, gateway_batch, gateway_batch_json,     token_export, token_import,
};

enum { CLIENT_CALLS = sizeof client_calls / sizeof client_calls[0] };

static void in_client(void) {
    for (size_t i = 0; i < CLIENT_CALLS; i++) {
        iotda_client_t *client = client_from_environment();
        iotda_call_t call = IOTDA_CALL_INIT;
        iotda_test_panic_next();
        CHECK_STATUS(IOTDA_E_INTERNAL, client_calls[i](client, &call));
        CHECK(strstr(call.message, "panic_hook.rs") != NULL);
        /* The panic is over, and still nothing goes through this client. */
        for (size_t j = 0; j < CLIENT_CALLS; j++) {
            iotda_call_t later = IOTDA_CALL_INIT;
            CHECK_STATUS(IOTDA_E_INTERNAL, client_calls[j](client, &later));
            CHECK(strlen(later.message) > 0);
        }
        iotda_close(client);
    }
    iotda_client_t *client = client_from_environment();
    iotda_test_panic_next();
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_auth(client, NULL));
    iotda_close(client);
}

/* Runs one setter with a panic inside. */
#define CHECK_SETTER(setter)                                                                       \
    do {                                                                                           \
        iotda_config_t *config = iotda_config_new();                                               \
        iotda_test_panic_next();                                                                   \
        CHECK_STATUS(IOTDA_E_INTERNAL, setter);                                                    \
        iotda_config_free(config);                                                                 \
    } while (0)

static void in_setters(void) {
    CHECK_SETTER(iotda_config_set_endpoint(config, "https://localhost"));
    CHECK_SETTER(iotda_config_set_device(config, "device", "secret", 6));
    CHECK_SETTER(iotda_config_set_sign_type(config, 0));
    CHECK_SETTER(iotda_config_set_ca_pem(config, "x", 1));
    CHECK_SETTER(iotda_config_set_ca_file(config, "ca.pem"));
    CHECK_SETTER(iotda_config_set_timeout_ms(config, 1000));
    CHECK_SETTER(iotda_config_set_connect_timeout_ms(config, 1000));
    CHECK_SETTER(iotda_config_add_ca_pem(config, "x", 1));
    CHECK_SETTER(iotda_config_add_ca_file(config, "ca.pem"));
    CHECK_SETTER(iotda_config_set_client_certificate(config, "x", 1, "y", 1));
    CHECK_SETTER(iotda_config_add_pinned_key(config, "0123456789abcdef0123456789abcdef", 32));
    CHECK_SETTER(iotda_config_set_tls_1_3(config, true));
    CHECK_SETTER(iotda_config_set_proxy(config, ""));
    CHECK_SETTER(iotda_config_set_proxy_from_environment(config));
    CHECK_SETTER(iotda_config_set_transport(config, NULL));
    CHECK_SETTER(iotda_config_set_attempt_timeout_ms(config, 1000));
    CHECK_SETTER(iotda_config_set_retry(config, 1, 1, 1));
    CHECK_SETTER(iotda_config_set_rates(config, 0, 0));
    CHECK_SETTER(iotda_config_set_pool(config, 1, 1));
    CHECK_SETTER(iotda_config_set_max_connections(config, 1));
    CHECK_SETTER(iotda_config_set_tcp_keepalive_s(config, 0));
    CHECK_SETTER(iotda_config_set_token(config, ""));
    CHECK_SETTER(iotda_config_set_token_callback(config, NULL, NULL, NULL));
    CHECK_SETTER(iotda_config_set_authentication(config, IOTDA_AUTHENTICATE_WHEN_ASKED));
    CHECK_SETTER(iotda_config_set_clock(config, NULL, NULL, NULL));
    CHECK_SETTER(iotda_config_set_log(config, 0, NULL, NULL, NULL));
}

static void in_what_reads(void) {
    iotda_client_t *client = client_from_environment();
    iotda_stats_t stats = {.struct_size = sizeof stats};
    iotda_test_panic_next();
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_stats(client, &stats));
    iotda_test_panic_next();
    CHECK(iotda_server_time_ms(client) == 0);
    iotda_test_panic_next();
    CHECK(iotda_token_remaining_ms(client) == 0);
    iotda_close(client);
    iotda_test_panic_next();
    CHECK(iotda_cancel_new() == NULL);
}

static void in_checks(void) {
    iotda_call_t call = IOTDA_CALL_INIT;
#define CHECK_CHECK(check)                                                                         \
    do {                                                                                           \
        iotda_test_panic_next();                                                                   \
        CHECK_STATUS(IOTDA_E_INTERNAL, check);                                                     \
        CHECK(strstr(call.message, "panic_hook.rs") != NULL);                                      \
        CHECK_STATUS(IOTDA_OK, check);                                                             \
    } while (0)
    CHECK_CHECK(iotda_check_props(&service, 1, &call));
    CHECK_CHECK(iotda_check_props_json(services_json, sizeof services_json - 1, &call));
    CHECK_CHECK(iotda_check_message("x", 1, &call));
    CHECK_CHECK(iotda_check_batch(&child, 1, NULL, &call));
}

static void in_config(void) {
    iotda_test_panic_next();
    CHECK(iotda_config_new() == NULL);

    in_setters();

    iotda_config_t *config = config_from_environment();
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_test_panic_next();
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_init(config, &client, &call));
    CHECK(client == NULL);
    CHECK(strlen(call.message) > 0);
    iotda_config_free(config);
}

static void in_builder(void) {
    iotda_test_panic_next();
    CHECK(iotda_props_new() == NULL);

    iotda_props_t *props = iotda_props_new();
    iotda_test_panic_next();
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_props_add_integer(props, "n", 1));
    iotda_test_panic_next();
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_props_add_double(props, "n", 1));
    iotda_test_panic_next();
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_props_add_boolean(props, "n", true));
    iotda_test_panic_next();
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_props_add_string(props, "n", "x"));
    iotda_test_panic_next();
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_props_add_json(props, "n", "1"));
    CHECK(strcmp(iotda_props_json(props), "{}") == 0);
    iotda_props_free(props);
}

static iotda_outbox_t *open_outbox(iotda_client_t *client, bool start_worker) {
    iotda_outbox_options_t options = IOTDA_OUTBOX_OPTIONS_INIT;
    options.directory = directory;
    options.sync_ms = 0;
    options.start_worker = start_worker;
    iotda_outbox_t *outbox = NULL;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_open(client, &options, &outbox, NULL));
    return outbox;
}

static iotda_status_t outbox_attach(iotda_outbox_t *outbox, iotda_client_t *client,
                                    iotda_call_t *call) {
    return iotda_outbox_attach(outbox, client, call);
}

static iotda_status_t outbox_put_props(iotda_outbox_t *outbox, iotda_client_t *client,
                                       iotda_call_t *call) {
    return iotda_outbox_put_props(outbox, client, &service, 1, NULL, call);
}

static iotda_status_t outbox_put_props_json(iotda_outbox_t *outbox, iotda_client_t *client,
                                            iotda_call_t *call) {
    return iotda_outbox_put_props_json(outbox, client, services_json, sizeof services_json - 1,
                                       NULL, call);
}

static iotda_status_t outbox_put_message(iotda_outbox_t *outbox, iotda_client_t *client,
                                         iotda_call_t *call) {
    return iotda_outbox_put_message(outbox, client, "x", 1, NULL, call);
}

static iotda_status_t outbox_put_batch(iotda_outbox_t *outbox, iotda_client_t *client,
                                       iotda_call_t *call) {
    uint64_t first = 99;
    iotda_status_t status = iotda_outbox_put_batch(outbox, client, &child, 1, &first, call);
    CHECK(first == 99);
    return status;
}

static iotda_status_t outbox_put_batch_json(iotda_outbox_t *outbox, iotda_client_t *client,
                                            iotda_call_t *call) {
    return iotda_outbox_put_batch_json(outbox, client, devices_json, sizeof devices_json - 1, NULL,
                                       call);
}

static iotda_status_t outbox_sync(iotda_outbox_t *outbox, iotda_client_t *client,
                                  iotda_call_t *call) {
    (void)client;
    return iotda_outbox_sync(outbox, call);
}

static iotda_status_t outbox_pump(iotda_outbox_t *outbox, iotda_client_t *client,
                                  iotda_call_t *call) {
    (void)client;
    return iotda_outbox_pump(outbox, call);
}

static iotda_status_t outbox_flush(iotda_outbox_t *outbox, iotda_client_t *client,
                                   iotda_call_t *call) {
    (void)client;
    return iotda_outbox_flush(outbox, call);
}

static iotda_status_t outbox_discard(iotda_outbox_t *outbox, iotda_client_t *client,
                                     iotda_call_t *call) {
    (void)client;
    return iotda_outbox_discard(outbox, "device", NULL, call);
}

static iotda_status_t outbox_dead_read(iotda_outbox_t *outbox, iotda_client_t *client,
                                       iotda_call_t *call) {
    (void)client;
    iotda_dead_t dead = {.struct_size = sizeof dead};
    return iotda_outbox_dead_read(outbox, 0, &dead, NULL, 0, NULL, call);
}

/* Those without a call say nothing but their status. */
static iotda_status_t outbox_dead_forget(iotda_outbox_t *outbox, iotda_client_t *client,
                                         iotda_call_t *call) {
    (void)client;
    snprintf(call->message, sizeof call->message, "panic_hook.rs");
    return iotda_outbox_dead_forget(outbox, 1);
}

static iotda_status_t outbox_stats(iotda_outbox_t *outbox, iotda_client_t *client,
                                   iotda_call_t *call) {
    (void)client;
    snprintf(call->message, sizeof call->message, "panic_hook.rs");
    iotda_outbox_stats_t stats = {.struct_size = sizeof stats};
    return iotda_outbox_stats(outbox, &stats);
}

typedef iotda_status_t (*outbox_call_t)(iotda_outbox_t *outbox, iotda_client_t *client,
                                        iotda_call_t *call);

static const outbox_call_t outbox_calls[] = {
    outbox_attach,    outbox_put_props,      outbox_put_props_json, outbox_put_message,
    outbox_put_batch, outbox_put_batch_json, outbox_sync,           outbox_pump,
    outbox_flush,     outbox_discard,        outbox_dead_read,      outbox_dead_forget,
    outbox_stats,
};

enum { OUTBOX_CALLS = sizeof outbox_calls / sizeof outbox_calls[0] };

static void in_outbox(void) {
    iotda_client_t *client = client_from_environment();
    for (size_t i = 0; i < OUTBOX_CALLS; i++) {
        iotda_outbox_t *outbox = open_outbox(client, false);
        iotda_call_t call = IOTDA_CALL_INIT;
        iotda_test_panic_next();
        CHECK_STATUS(IOTDA_E_INTERNAL, outbox_calls[i](outbox, client, &call));
        CHECK(strstr(call.message, "panic_hook.rs") != NULL);
        /* The panic is over, and still nothing goes through this outbox. */
        for (size_t j = 0; j < OUTBOX_CALLS; j++) {
            iotda_call_t later = IOTDA_CALL_INIT;
            CHECK_STATUS(IOTDA_E_INTERNAL, outbox_calls[j](outbox, client, &later));
            CHECK(strlen(later.message) > 0);
        }
        iotda_outbox_close(outbox);
    }
    /* These have no status. */
    iotda_outbox_t *outbox = open_outbox(client, false);
    iotda_test_panic_next();
    iotda_outbox_wake(outbox);
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_outbox_sync(outbox, NULL));
    iotda_outbox_close(outbox);
    outbox = open_outbox(client, false);
    iotda_test_panic_next();
    iotda_outbox_close(outbox);
    iotda_close(client);

    client = client_from_environment();
    iotda_outbox_options_t options = IOTDA_OUTBOX_OPTIONS_INIT;
    options.directory = directory;
    outbox = NULL;
    iotda_test_panic_next();
    CHECK_STATUS(IOTDA_E_INTERNAL, iotda_outbox_open(client, &options, &outbox, NULL));
    CHECK(outbox == NULL);
    iotda_close(client);
}

/* What the log says while a thread of an outbox panics. */
struct heard {
    bool panic;
};

static void listen(void *user_data, int32_t level, const char *line) {
    struct heard *heard = user_data;
    if (level == IOTDA_LOG_ERROR && strstr(line, "panic_hook.rs") != NULL)
        heard->panic = true;
}

/* A panic in a thread of the outbox: in the log, with its place, and in every later call; nothing on standard error. */
static void in_a_thread_of_an_outbox(void) {
    struct heard heard = {0};
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_config_set_endpoint(config, "https://127.0.0.1:1"));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_log(config, IOTDA_LOG_ERROR, listen, &heard, NULL));
    iotda_client_t *client = NULL;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, NULL));
    iotda_config_free(config);

    FILE *printed = tmpfile();
    int standard_error = dup(STDERR_FILENO);
    CHECK(printed != NULL && standard_error >= 0);
    CHECK(dup2(fileno(printed), STDERR_FILENO) == STDERR_FILENO);
    iotda_test_panic_in_next_thread();
    iotda_outbox_options_t options = IOTDA_OUTBOX_OPTIONS_INIT;
    options.directory = directory;
    options.sync_ms = 0;
    iotda_outbox_t *outbox = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    call.timeout_ms = 60000;
    /* The thread may have ended before this returns, before the put, or after it. */
    iotda_status_t opened = iotda_outbox_open(client, &options, &outbox, &call);
    iotda_status_t put = opened, flushed = opened, later = opened;
    if (opened == IOTDA_OK) {
        put = iotda_outbox_put_message(outbox, client, "x", 1, NULL, &call);
        flushed = iotda_outbox_flush(outbox, &call);
        later = iotda_outbox_put_message(outbox, client, "x", 1, NULL, NULL);
        iotda_outbox_close(outbox);
    }
    CHECK(dup2(standard_error, STDERR_FILENO) == STDERR_FILENO);
    close(standard_error);
    CHECK(opened == IOTDA_OK || opened == IOTDA_E_INTERNAL);
    CHECK(put == IOTDA_OK || put == IOTDA_E_INTERNAL);
    CHECK_STATUS(IOTDA_E_INTERNAL, flushed);
    CHECK_STATUS(IOTDA_E_INTERNAL, later);
    CHECK(strstr(call.message, "panic_hook.rs") != NULL && heard.panic);
    CHECK(fseek(printed, 0, SEEK_END) == 0 && ftell(printed) == 0);
    fclose(printed);

    /* What was acknowledged is there for the next one. */
    outbox = open_outbox(client, false);
    iotda_outbox_stats_t stats = {.struct_size = sizeof stats};
    CHECK_STATUS(IOTDA_OK, iotda_outbox_stats(outbox, &stats));
    CHECK(stats.waiting == (put == IOTDA_OK ? 1 : 0));
    iotda_outbox_close(outbox);
    iotda_close(client);
}

/* Freeing has no status; a panic in it goes no further, and what was freed is gone. */
static void in_what_frees(void) {
    iotda_config_t *config = config_from_environment();
    iotda_client_t *client = client_from_environment();
    iotda_props_t *props = iotda_props_new();
    iotda_cancel_t *cancel = iotda_cancel_new();
    iotda_test_panic_next();
    iotda_props_clear(props);
    CHECK(strcmp(iotda_props_json(props), "{}") == 0);
    iotda_test_panic_next();
    iotda_config_free(config);
    iotda_test_panic_next();
    iotda_close(client);
    iotda_test_panic_next();
    iotda_props_free(props);
    iotda_test_panic_next();
    iotda_cancel_free(cancel);
}

int main(void) {
    make_directory();
    in_config();
    in_client();
    in_checks();
    in_builder();
    in_what_reads();
    in_outbox();
    in_a_thread_of_an_outbox();
    in_what_frees();
    remove_directory();
    return EXIT_SUCCESS;
}
