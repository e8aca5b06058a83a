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

static void ignore_token(void *user_data, const char *device_id, const char *token) {
    (void)device_id, (void)token;
    CHECK(user_data == &destroyed);
    CHECK(!"nobody authenticates here");
}

static void *never_connect(void *user_data, const char *host, uint16_t port, uint32_t timeout_ms,
                           int cancel_fd) {
    CHECK(user_data == &destroyed);
    CHECK(strlen(host) > 0 && port > 0 && timeout_ms > 0);
    CHECK(cancel_fd == -1); /* no call here can be cancelled */
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
    CHECK_STATUS(IOTDA_OK, iotda_config_set_pool(config, IOTDA_POOL_AS_USED, 30000));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_max_connections(NULL, 1));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_max_connections(config, 0));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_max_connections(config, 1));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_max_connections(config, UINT32_MAX));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_tcp_keepalive_s(config, 60));
    const int32_t no_authentication[] = {-1, 2, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof no_authentication / sizeof no_authentication[0]; i++)
        CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                     iotda_config_set_authentication(config, no_authentication[i]));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_authentication(config, IOTDA_AUTHENTICATE_WHEN_ASKED));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_authentication(config, IOTDA_AUTHENTICATE_WHEN_NEEDED));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_token(config, NULL));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_token(config, "a\xff"));
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

/* What iotda_init says of a config. */
static iotda_status_t init_of(const iotda_config_t *config, iotda_call_t *call) {
    iotda_client_t *client = NULL;
    iotda_status_t status = iotda_init(config, &client, call);
    CHECK((client != NULL) == (status == IOTDA_OK));
    iotda_close(client);
    return status;
}

/* A setter that failed is named by iotda_init, until the same thing has been set successfully. */
static void failures_are_remembered(void) {
    const char *ca_file = setting("IOTDA_CA_FILE");
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK, init_of(config, &call));

    /* Set otherwise, by another function. */
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_ca_pem(config, "no PEM", 6));
    CHECK_STATUS(IOTDA_E_CONFIG, init_of(config, &call));
    CHECK(strstr(call.message, "iotda_config_set_ca_pem") != NULL);
    CHECK_STATUS(IOTDA_OK, iotda_config_set_ca_file(config, ca_file));
    CHECK_STATUS(IOTDA_OK, init_of(config, &call));
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_proxy(config, "https://proxy:1"));
    CHECK_STATUS(IOTDA_E_CONFIG, init_of(config, &call));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_proxy_from_environment(config));
    CHECK_STATUS(IOTDA_OK, init_of(config, &call));
    unsetenv("https_proxy");

    /* Another addition is no substitute for one that failed; setting is, since it replaces all. */
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_add_ca_file(config, "/nonexistent"));
    CHECK_STATUS(IOTDA_OK, iotda_config_add_ca_file(config, ca_file));
    CHECK_STATUS(IOTDA_E_CONFIG, init_of(config, &call));
    CHECK(strstr(call.message, "iotda_config_add_ca_file") != NULL);
    CHECK_STATUS(IOTDA_OK, iotda_config_set_ca_file(config, ca_file));
    CHECK_STATUS(IOTDA_OK, init_of(config, &call));

    /* What was set before is still what counts. */
    CHECK_STATUS(IOTDA_E_CONFIG, iotda_config_set_endpoint(config, "http://localhost"));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_config_set_device(config, NULL, "s", 1));
    CHECK_STATUS(IOTDA_E_CONFIG, init_of(config, &call));
    CHECK(strstr(call.message, "iotda_config_set_endpoint") != NULL);
    CHECK_STATUS(IOTDA_OK, iotda_config_set_endpoint(config, "https://localhost"));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, init_of(config, &call));
    CHECK(strstr(call.message, "iotda_config_set_device") != NULL &&
          strstr(call.message, "device_id") != NULL);
    iotda_config_free(config);
}

static char logged[512];

static void keep_line(void *user_data, int32_t level, const char *line) {
    (void)user_data;
    CHECK(level == IOTDA_LOG_ERROR);
    snprintf(logged, sizeof logged, "%s", line);
}

/* What is refused is in the log as well, for programs that look at the status alone. */
#define CHECK_LOGGED(call, text)                                                                   \
    do {                                                                                           \
        logged[0] = '\0';                                                                          \
        CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, call);                                              \
        CHECK(strstr(logged, device) != NULL && strstr(logged, text) != NULL);                     \
    } while (0)

static void refusals_are_logged(void) {
    iotda_config_t *config = config_from_environment();
    iotda_client_t *client = NULL;
    iotda_client_t *other = NULL;
    CHECK_STATUS(IOTDA_OK, iotda_config_set_log(config, IOTDA_LOG_ERROR, keep_line, NULL, NULL));
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, NULL));
    iotda_config_free(config);
    const char *device = setting("IOTDA_DEVICE_ID");
    iotda_service_t service = {"s", "a\xff", IOTDA_TIME_NONE};
    iotda_child_t child = {"child", &service, 1};
    iotda_call_t call = IOTDA_CALL_INIT;
    call.struct_size = 1;
    CHECK_LOGGED(iotda_report_props(client, &service, 1, NULL), "services[0].properties");
    CHECK_LOGGED(iotda_report_props(client, NULL, 2, NULL), "pass services");
    CHECK_LOGGED(iotda_report_props_json(client, "\xff", 1, NULL), "json");
    CHECK_LOGGED(iotda_report_message(client, NULL, 1, NULL), "pass data");
    CHECK_LOGGED(iotda_gateway_batch(client, &child, 1, NULL, NULL),
                 "children[0].services[0].properties");
    CHECK_LOGGED(iotda_open_device(client, NULL, "s", 1, &other, NULL), "device_id");
    CHECK_LOGGED(iotda_open_device(client, "other", "s", 1, NULL, NULL), "as device: it is NULL");
    CHECK_LOGGED(iotda_token_export(client, NULL, 1, NULL, NULL), "as out");
    CHECK_LOGGED(iotda_stats(client, NULL), "stats");
    CHECK_LOGGED(iotda_auth(client, &call), "IOTDA_CALL_INIT");

    device = "other";
    CHECK_STATUS(IOTDA_OK, iotda_open_device(client, "other", "s", 1, &other, NULL));
    iotda_close(client);
    CHECK_LOGGED(iotda_report_message(other, NULL, 1, NULL), "pass data");
    iotda_close(other);
}

/* What a callback is given is released once, however the setter ends. */
static void callbacks_are_released_once(void) {
    iotda_config_t *config = config_from_environment();
#define DESTROYED(count, setter, status)                                                           \
    do {                                                                                           \
        destroyed = 0;                                                                             \
        CHECK_STATUS(status, setter);                                                              \
        CHECK(destroyed == (count));                                                               \
    } while (0)
    const iotda_status_t refused = IOTDA_E_INVALID_ARGUMENT;
    DESTROYED(1, iotda_config_set_clock(NULL, in_1970, &destroyed, count_destroyed), refused);
    DESTROYED(1, iotda_config_set_clock(config, NULL, &destroyed, count_destroyed), IOTDA_OK);
    DESTROYED(0, iotda_config_set_clock(config, in_1970, &destroyed, count_destroyed), IOTDA_OK);
    DESTROYED(1, iotda_config_set_clock(config, in_1970, &destroyed, count_destroyed), IOTDA_OK);
    DESTROYED(1, iotda_config_set_clock(config, NULL, NULL, NULL), IOTDA_OK);

    DESTROYED(1, iotda_config_set_log(NULL, 1, ignore_line, &destroyed, count_destroyed), refused);
    DESTROYED(1, iotda_config_set_log(config, 0, ignore_line, &destroyed, count_destroyed),
              refused);
    DESTROYED(1, iotda_config_set_log(config, 5, ignore_line, &destroyed, count_destroyed),
              refused);
    DESTROYED(1, iotda_config_set_log(config, 1, NULL, &destroyed, count_destroyed), IOTDA_OK);
    DESTROYED(0, iotda_config_set_log(config, 1, ignore_line, &destroyed, count_destroyed),
              IOTDA_OK);
    DESTROYED(1, iotda_config_set_log(config, 1, ignore_line, &destroyed, count_destroyed),
              IOTDA_OK);
    DESTROYED(1, iotda_config_set_log(config, 1, NULL, NULL, NULL), IOTDA_OK);

    DESTROYED(1, iotda_config_set_token_callback(NULL, ignore_token, &destroyed, count_destroyed),
              refused);
    DESTROYED(1, iotda_config_set_token_callback(config, NULL, &destroyed, count_destroyed),
              IOTDA_OK);
    for (int i = 0; i < 2; i++)
        DESTROYED(
            i, iotda_config_set_token_callback(config, ignore_token, &destroyed, count_destroyed),
            IOTDA_OK);
    DESTROYED(1, iotda_config_set_token_callback(config, NULL, NULL, NULL), IOTDA_OK);

    iotda_transport_t transport = no_network();
    DESTROYED(1, iotda_config_set_transport(NULL, &transport), refused);
    DESTROYED(0, iotda_config_set_transport(config, NULL), refused);
    const size_t small[] = {1, sizeof(void *), sizeof transport - 1};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
        transport.struct_size = small[i];
        DESTROYED(1, iotda_config_set_transport(config, &transport), refused);
    }
    iotda_transport_t missing[4] = {no_network(), no_network(), no_network(), no_network()};
    missing[0].connect = NULL;
    missing[1].send = NULL;
    missing[2].receive = NULL;
    missing[3].close = NULL;
    for (size_t i = 0; i < 4; i++)
        DESTROYED(1, iotda_config_set_transport(config, &missing[i]), refused);
    transport.struct_size = 0; /* as good as the size of the first version */
    DESTROYED(0, iotda_config_set_transport(config, &transport), IOTDA_OK);
    DESTROYED(1, iotda_config_set_transport(config, &transport), IOTDA_OK);
    destroyed = 0;
    iotda_config_free(config);
    CHECK(destroyed == 1);

    /* With clients: when the last of them is closed. */
    config = config_from_environment();
    destroyed = 0;
    CHECK_STATUS(IOTDA_OK, iotda_config_set_clock(config, in_1970, &destroyed, count_destroyed));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_log(config, IOTDA_LOG_DEBUG, ignore_line, &destroyed,
                                                count_destroyed));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_token_callback(config, ignore_token, &destroyed,
                                                           count_destroyed));
    iotda_client_t *client = NULL;
    iotda_client_t *device = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, &call));
    CHECK_STATUS(IOTDA_OK, iotda_open_device(client, "other", "s", 1, &device, &call));
    iotda_config_free(config);
    iotda_close(client);
    CHECK(destroyed == 0);
    /* The clock is the program's, and it stands in 1970. */
    CHECK_STATUS(IOTDA_E_CLOCK, iotda_auth(device, &call));
    CHECK(strstr(call.message, "set the clock") != NULL);
    iotda_close(device);
    CHECK(destroyed == 3);
}

static void transports(void) {
    iotda_config_t *config = config_from_environment();
    destroyed = 0;
    iotda_transport_t transport = no_network();
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
    CHECK(destroyed == 1);
}

/* A connection that is there, and takes nothing. */
static int sends;

static void *pretend_to_connect(void *user_data, const char *host, uint16_t port,
                                uint32_t timeout_ms, int cancel_fd) {
    (void)host, (void)port, (void)timeout_ms, (void)cancel_fd;
    return user_data;
}

static int64_t send_nothing(void *connection, const void *data, size_t len, uint32_t timeout_ms) {
    CHECK(connection == &destroyed && data != NULL && len > 0 && timeout_ms > 0);
    sends++;
    return 0;
}

static void closed(void *connection) {
    CHECK(connection == &destroyed);
}

/* It would be tried again without end, or for as long as the call may take. */
static void a_transport_that_sends_nothing_has_failed(void) {
    iotda_config_t *config = config_from_environment();
    iotda_transport_t transport = no_network();
    transport.connect = pretend_to_connect;
    transport.send = send_nothing;
    transport.close = closed;
    CHECK_STATUS(IOTDA_OK, iotda_config_set_transport(config, &transport));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_retry(config, 1, 1, 1));
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, &call));
    iotda_config_free(config);
    sends = 0;
    CHECK_STATUS(IOTDA_E_CONNECT, iotda_auth(client, &call));
    CHECK(strstr(call.message, "send function returned 0") != NULL);
    CHECK(sends == 1);
    iotda_close(client);
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
    memset(&stats, 0, sizeof stats); /* as good as the size of the first version */
    CHECK_STATUS(IOTDA_OK, iotda_stats(client, &stats));
    CHECK(stats.struct_size == 0);
    stats.struct_size = sizeof stats - 1;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_stats(client, &stats));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_stats(client, NULL));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_stats(NULL, &stats));
    CHECK(iotda_server_time_ms(client) == 0);
    CHECK(iotda_server_time_ms(NULL) == 0);
    CHECK(iotda_token_remaining_ms(client) == 0);
    CHECK(iotda_token_remaining_ms(NULL) == 0);

    char token[512] = "x";
    size_t length = 99;
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, token, sizeof token, &length, NULL));
    CHECK(token[0] == '\0' && length == 0);
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, token, 1, NULL, NULL));
    length = 99;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_token_export(client, NULL, 0, &length, NULL));
    CHECK(length == 0);
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_token_export(client, NULL, 512, NULL, NULL));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_token_export(NULL, token, 512, NULL, NULL));

    iotda_config_t *config = config_from_environment();
    iotda_client_t *none = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    /* A saved token that is damaged is no reason not to start: the client authenticates. */
    CHECK_STATUS(IOTDA_OK, iotda_config_set_token(config, "no token"));
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &none, &call));
    iotda_config_free(config);
    CHECK_STATUS(IOTDA_OK, iotda_token_export(none, token, sizeof token, &length, NULL));
    CHECK(length == 0);
    iotda_close(none);
}

int main(void) {
    iotda_config_t *config = config_from_environment();
    values(config);
    iotda_config_free(config);
    failures_are_remembered();
    refusals_are_logged();
    proxies_of_the_environment();
    callbacks_are_released_once();
    transports();
    a_transport_that_sends_nothing_has_failed();

    iotda_client_t *client = client_from_environment();
    cancelled_before_it_begins(client);
    statistics_and_tokens(client);
    iotda_close(client);
    return EXIT_SUCCESS;
}
