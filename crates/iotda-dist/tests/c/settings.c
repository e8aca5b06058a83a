/*
 * Settings, callbacks and what else does not need a network: each value that is wrong is refused, each
 * callback's data released exactly once.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <math.h>

static int destroyed;

static void count_destroyed(void *user_data) {
    CHECK(user_data == &destroyed);
    destroyed++;
}

static int64_t in_1970(void *user_data) {
    CHECK(user_data == &destroyed);
    return 1000;
}

static void ignore_line(void *user_data, int32_t level, const char *message) {
    CHECK(user_data == &destroyed);
    CHECK(level >= IOTDA_LOG_ERROR && level <= IOTDA_LOG_DEBUG);
    CHECK(strlen(message) > 0);
}

static void *never_connect(void *user_data, const char *host, uint16_t port, uint32_t timeout_ms) {
    CHECK(user_data == &destroyed);
    CHECK(strlen(host) > 0 && port > 0 && timeout_ms > 0);
    return NULL;
}

static int64_t never_send(void *connection, const void *data, size_t len, uint32_t timeout_ms) {
    (void)connection, (void)data, (void)len, (void)timeout_ms;
    return IOTDA_IO_FAILED;
}

static int64_t never_receive(void *connection, void *buffer, size_t size, uint32_t timeout_ms) {
    (void)connection, (void)buffer, (void)size, (void)timeout_ms;
    return IOTDA_IO_FAILED;
}

static void never_close(void *connection) {
    (void)connection;
    CHECK(!"a connection that was never opened is not closed");
}

static iotda_transport_t no_network(void) {
    iotda_transport_t transport;
    memset(&transport, 0, sizeof transport);
    transport.struct_size = sizeof transport;
    transport.user_data = &destroyed;
    transport.connect = never_connect;
    transport.send = never_send;
    transport.receive = never_receive;
    transport.close = never_close;
    transport.destroy = count_destroyed;
    return transport;
}

static void values(iotda_config_t *config) {
    CHECK_STATUS(IOTDA_OK, iotda_config_set_attempt_timeout_ms(config, 1));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_attempt_timeout_ms(config, 0));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_attempt_timeout_ms(config, 5000));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_retry(config, 0, 1, 1));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_retry(config, 1, 0, 1));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_retry(config, 1, 2, 1));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_retry(config, 1, 1, 1));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_rates(config, -1.0, 0.0));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_rates(config, 0.0, NAN));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_rates(config, INFINITY, 0.0));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_rates(config, 10.0, 0.0));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_pool(config, 0, 0));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_pool(config, 4, 30000));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_tcp_keepalive_s(config, 60));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_tls_1_3(config, true));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_tls_1_3(config, false));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_add_pinned_key(config, "short", 5));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_add_pinned_key(config, NULL, 32));
    CHECK_STATUS(IOTDA_OK,
                 iotda_config_add_pinned_key(config, "0123456789abcdef0123456789abcdef", 32));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_proxy(config, "https://proxy:1"));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_proxy(config, NULL));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_proxy(config, "http://u:p%40ss@proxy.example:3128"));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_proxy(config, ""));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_add_ca_pem(config, "no PEM", 6));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_add_ca_file(config, "/nonexistent"));
    CHECK_STATUS(IOTDA_OK, iotda_config_add_ca_file(config, setting("IOTDA_CA_FILE")));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_client_certificate(config, "x", 1, "y", 1));
}

/* The environment is read when it is asked for, and only then. */
static void proxies_of_the_environment(void) {
    setenv("https_proxy", "socks5://wrong", 1);
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_proxy_from_environment(config));
    setenv("no_proxy", "localhost,127.0.0.1", 1);
    CHECK_STATUS(IOTDA_OK, iotda_config_set_proxy_from_environment(config));
    unsetenv("no_proxy");
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    CHECK_STATUS(IOTDA_OK, iotda_config_set_proxy_from_environment(config));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_retry(config, 1, 1, 1));
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, &call));
    iotda_config_free(config);
    CHECK_STATUS(IOTDA_E_CONNECT, iotda_auth(client, &call));
    CHECK(strstr(call.message, "the proxy 127.0.0.1:1") != NULL);
    iotda_close(client);

    config = iotda_config_new();
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_proxy_from_environment(config));
    iotda_config_free(config);
    unsetenv("https_proxy");
}

/* A setter that failed is told by iotda_init, until it has been called rightly. */
static void failures_are_remembered(iotda_config_t *config) {
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_init(config, &client, &call));
    CHECK(client == NULL);
    CHECK(strstr(call.message, "iotda_config_add_ca_pem") != NULL);
}

static void callbacks_are_released_once(void) {
    iotda_config_t *config = config_from_environment();
    destroyed = 0;
    CHECK_STATUS(IOTDA_OK, iotda_config_set_clock(config, in_1970, &destroyed, count_destroyed));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_clock(config, in_1970, &destroyed, count_destroyed));
    CHECK(destroyed == 1);
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                 iotda_config_set_log(config, 0, ignore_line, &destroyed, count_destroyed));
    CHECK(destroyed == 2);
    CHECK_STATUS(IOTDA_OK, iotda_config_set_log(config, IOTDA_LOG_DEBUG, ignore_line, &destroyed,
                                                count_destroyed));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                 iotda_config_set_clock(NULL, in_1970, &destroyed, count_destroyed));
    CHECK(destroyed == 3);

    iotda_client_t *client = NULL;
    iotda_client_t *device = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, &call));
    CHECK_STATUS(IOTDA_OK, iotda_open_device(client, "other", "s", 1, &device, &call));
    iotda_config_free(config);
    iotda_close(client);
    CHECK(destroyed == 3);
    /* The clock is the program's, and it stands in 1970. */
    CHECK_STATUS(IOTDA_E_CLOCK, iotda_auth(device, &call));
    CHECK(strstr(call.message, "set the clock") != NULL);
    iotda_close(device);
    CHECK(destroyed == 5);
}

static void transports(void) {
    iotda_config_t *config = config_from_environment();
    destroyed = 0;
    iotda_transport_t transport = no_network();
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_transport(config, NULL));
    transport.struct_size = sizeof transport - 1;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_transport(config, &transport));
    CHECK(destroyed == 0);
    transport = no_network();
    transport.receive = NULL;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_transport(config, &transport));
    CHECK(destroyed == 1);
    transport = no_network();
    CHECK_STATUS(IOTDA_OK, iotda_config_set_transport(config, &transport));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_retry(config, 2, 1, 1));

    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, &call));
    iotda_config_free(config);
    CHECK_STATUS(IOTDA_E_CONNECT, iotda_report_message(client, "x", 1, &call));
    CHECK(strstr(call.message, "returned NULL") != NULL);
    CHECK(call.retry_after_ms > 0);
    iotda_close(client);
    CHECK(destroyed == 2);
}

static void cancelled_before_it_begins(iotda_client_t *client) {
    iotda_cancel_t *cancel = iotda_cancel_new();
    CHECK(cancel != NULL);
    iotda_call_t call = IOTDA_CALL_INIT;
    call.cancel = cancel;
    iotda_cancel_trigger(cancel);
    iotda_cancel_trigger(cancel);
    CHECK_STATUS(IOTDA_E_CANCELLED, iotda_report_message(client, "x", 1, &call));
    CHECK_STATUS(IOTDA_E_CANCELLED, iotda_auth(client, &call));
    iotda_cancel_free(cancel);
    iotda_cancel_free(NULL);
    iotda_cancel_trigger(NULL);
}

static void statistics_and_tokens(iotda_client_t *client) {
    iotda_stats_t stats;
    memset(&stats, 0xff, sizeof stats);
    stats.struct_size = sizeof stats;
    CHECK_STATUS(IOTDA_OK, iotda_stats(client, &stats));
    CHECK(stats.requests == 0 && stats.bytes_sent == 0 && stats.pacing_waits == 0);
    stats.struct_size--;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_stats(client, &stats));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_stats(client, NULL));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_stats(NULL, &stats));
    CHECK(iotda_server_time_ms(client) == 0);
    CHECK(iotda_server_time_ms(NULL) == 0);

    char token[512] = "x";
    size_t length = 99;
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, token, sizeof token, &length, NULL));
    CHECK(token[0] == '\0' && length == 0);
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, token, 1, NULL, NULL));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_token_export(client, token, 0, NULL, NULL));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_token_export(client, NULL, 512, NULL, NULL));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_token_export(NULL, token, 512, NULL, NULL));

    iotda_config_t *config = config_from_environment();
    iotda_client_t *none = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_config_set_token(config, "no token"));
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_init(config, &none, &call));
    CHECK(strstr(call.message, "saved token") != NULL && none == NULL);
    iotda_config_free(config);
}

int main(void) {
    iotda_config_t *config = config_from_environment();
    values(config);
    failures_are_remembered(config);
    iotda_config_free(config);
    proxies_of_the_environment();
    callbacks_are_released_once();
    transports();

    iotda_client_t *client = client_from_environment();
    cancelled_before_it_begins(client);
    statistics_and_tokens(client);
    iotda_close(client);
    return EXIT_SUCCESS;
}
