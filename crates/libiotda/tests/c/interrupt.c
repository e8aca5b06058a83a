/*
 * Ctrl-C in a program of a single thread: the signal handler cancels the call that the program is in, wherever that
 * waits, and it ends at once. Each call could take ten minutes, and this program would be ended long before.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEN_MINUTES = 600000 };

static iotda_cancel_t *cancel;
static volatile sig_atomic_t interrupts;

static void on_interrupt(int number) {
    (void)number;
    iotda_cancel_trigger(cancel);
    interrupts++;
}

/* A message that the signal, which `config` provokes, ends. */
static void is_interrupted(const iotda_config_t *config) {
    cancel = iotda_cancel_new();
    CHECK(cancel != NULL);
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, &call));
    call.cancel = cancel;
    interrupts = 0;
    iotda_status_t status = iotda_report_message(client, "x", 1, &call);
    check_status(IOTDA_E_CANCELLED, status, call.message, __FILE__, __LINE__);
    CHECK(interrupts == 1);
    CHECK(!call.may_have_arrived && call.attempts == 0);
    /* It stays cancelled. */
    CHECK_STATUS(IOTDA_E_CANCELLED, iotda_report_message(client, "x", 1, &call));
    iotda_close(client);
    iotda_cancel_free(cancel);
    cancel = NULL;
}

/* As the environment has it, but for the endpoint; attempts take their time too. */
static iotda_config_t *config_for(const char *endpoint) {
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_config_set_endpoint(config, endpoint));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_timeout_ms(config, TEN_MINUTES));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_connect_timeout_ms(config, TEN_MINUTES));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_attempt_timeout_ms(config, TEN_MINUTES));
    return config;
}

/* Another process takes the beginning of the TLS handshake, interrupts this one, and says nothing. */
static void serve_and_interrupt(int listener) {
    char byte;
    int connection = accept(listener, NULL, NULL);
    if (connection >= 0 && recv(connection, &byte, 1, 0) == 1)
        kill(getppid(), SIGINT);
    while (recv(connection, &byte, 1, 0) > 0)
        ;
    _exit(EXIT_SUCCESS);
}

static void while_the_platform_is_silent(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "https://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    pid_t server = fork();
    CHECK(server >= 0);
    if (server == 0)
        serve_and_interrupt(listener);
    close(listener);
    iotda_config_t *config = config_for(endpoint);
    is_interrupted(config);
    iotda_config_free(config);
    CHECK(waitpid(server, NULL, 0) == server);
}

/* In the pause before the next attempt, which may take a day: the log says when it begins. */
static void interrupt_at_the_pause(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    if (level == IOTDA_LOG_WARNING && strstr(message, "trying again") != NULL)
        raise(SIGINT);
}

static void *refuse(void *user_data, const char *host, uint16_t port, uint32_t timeout_ms,
                    int cancel_fd) {
    (void)user_data, (void)host, (void)port, (void)timeout_ms;
    CHECK(cancel_fd >= 0);
    return NULL;
}

static int64_t fail_to_send(void *connection, const void *data, size_t len, uint32_t timeout_ms) {
    (void)connection, (void)data, (void)len, (void)timeout_ms;
    return IOTDA_IO_FAILED;
}

static int64_t fail_to_receive(void *connection, void *buffer, size_t size, uint32_t timeout_ms) {
    (void)connection, (void)buffer, (void)size, (void)timeout_ms;
    return IOTDA_IO_FAILED;
}

static void not_opened(void *connection) {
    (void)connection;
    CHECK(!"a connection that was never opened is not closed");
}

static void set_transport(iotda_config_t *config,
                          void *(*connect)(void *, const char *, uint16_t, uint32_t, int)) {
    const iotda_transport_t transport = {.struct_size = sizeof transport,
                                         .connect = connect,
                                         .send = fail_to_send,
                                         .receive = fail_to_receive,
                                         .close = not_opened};
    CHECK_STATUS(IOTDA_OK, iotda_config_set_transport(config, &transport));
}

static void while_it_waits_for_the_next_attempt(void) {
    enum { DAY = 86400000 };
    iotda_config_t *config = config_for("https://iot.example");
    set_transport(config, refuse);
    CHECK_STATUS(IOTDA_OK, iotda_config_set_timeout_ms(config, UINT32_MAX));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_retry(config, 2, DAY, DAY));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_log(config, IOTDA_LOG_WARNING, interrupt_at_the_pause,
                                                NULL, NULL));
    is_interrupted(config);
    iotda_config_free(config);
}

/* In a custom transport, which polls what it is given for that. */
static void *wait_to_be_cancelled(void *user_data, const char *host, uint16_t port,
                                  uint32_t timeout_ms, int cancel_fd) {
    (void)user_data, (void)host, (void)port;
    struct pollfd entry = {.fd = cancel_fd, .events = POLLIN};
    CHECK(cancel_fd >= 0 && timeout_ms > 0);
    CHECK(poll(&entry, 1, 0) == 0);
    raise(SIGINT);
    CHECK(poll(&entry, 1, -1) == 1 && (entry.revents & POLLIN) != 0);
    return NULL;
}

static void while_a_transport_connects(void) {
    iotda_config_t *config = config_for("https://iot.example");
    set_transport(config, wait_to_be_cancelled);
    is_interrupted(config);
    iotda_config_free(config);
}

int main(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    while_the_platform_is_silent();
    while_it_waits_for_the_next_attempt();
    while_a_transport_connects();
    return EXIT_SUCCESS;
}
