/*
 * Whether a report may have arrived although the call failed, over a transport that is a script: what each connection
 * answers to each request, or how it ends.
 */
#include "check.h"

/* What happens to one request. */
struct step {
    bool no_connection; /* connect fails */
    bool no_sending;    /* nothing can be sent */
    const char *answer; /* NULL: the connection breaks instead */
};

static const struct step *script;
static size_t requests_sent;

#define OK_TOKEN                                                                                   \
    "HTTP/1.1 200 OK\r\nContent-Length: "                                                          \
    "47\r\n\r\n{\"access_token\":\"0123456789\",\"expires_in\":3600}"
#define ANSWER(status, body_length, body)                                                          \
    "HTTP/1.1 " status " x\r\nContent-Length: " body_length "\r\n\r\n" body

static void *open_link(void *user_data, const char *host, uint16_t port, uint32_t timeout_ms,
                       int cancel_fd) {
    (void)user_data, (void)host, (void)port, (void)timeout_ms, (void)cancel_fd;
    if (script->no_connection) {
        script++;
        return NULL;
    }
    return &script;
}

static int64_t send_all(void *connection, const void *data, size_t len, uint32_t timeout_ms) {
    (void)connection, (void)data, (void)timeout_ms;
    if (script->no_sending) {
        script++;
        return IOTDA_IO_FAILED;
    }
    requests_sent++;
    return (int64_t)len;
}

/* A look at a connection that waits, with no time, finds nothing. */
static int64_t receive_answer(void *connection, void *buffer, size_t size, uint32_t timeout_ms) {
    (void)connection;
    if (timeout_ms == 0)
        return IOTDA_IO_TIMEOUT;
    const char *answer = (script++)->answer;
    if (answer == NULL)
        return IOTDA_IO_FAILED;
    CHECK(strlen(answer) <= size);
    memcpy(buffer, answer, strlen(answer));
    return (int64_t)strlen(answer);
}

static void close_link(void *connection) {
    CHECK(connection == &script);
}

/* A message with `steps`, of which the first answers the authentication. */
static void message(const struct step *steps, uint32_t attempts, iotda_status_t expected,
                    bool may_have_arrived) {
    static const iotda_transport_t transport = {.struct_size = sizeof transport,
                                                .is_secure = true,
                                                .connect = open_link,
                                                .send = send_all,
                                                .receive = receive_answer,
                                                .close = close_link};
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_config_set_transport(config, &transport));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_retry(config, attempts, 1, 1));
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, &call));
    iotda_config_free(config);
    script = steps;
    call.may_have_arrived = !may_have_arrived; /* written by every call */
    iotda_status_t status = iotda_report_message(client, "x", 1, &call);
    check_status(expected, status, call.message, __FILE__, __LINE__);
    if (call.may_have_arrived != may_have_arrived) {
        fprintf(stderr, "arrival of %s: %s\n", iotda_status_name(status), call.message);
        exit(EXIT_FAILURE);
    }
    iotda_close(client);
}

int main(void) {
    const struct step no_connection = {.no_connection = true};
    const struct step token = {.answer = OK_TOKEN};
    const struct step broken = {.answer = NULL};
    const struct step refused = {.answer =
                                     ANSWER("400", "29", "{\"error_code\":\"IOTDA.000006\"}")};

    message((struct step[]){token, {.answer = ANSWER("200", "0", "")}}, 1, IOTDA_OK, false);
    /* Nothing was sent. */
    message((struct step[]){no_connection}, 1, IOTDA_E_CONNECT, false);
    /* The authentication was sent, and no report. */
    message((struct step[]){broken}, 1, IOTDA_E_CONNECT, false);
    message((struct step[]){token, refused}, 1, IOTDA_E_REJECTED, false);
    /* It was sent, and nobody knows. */
    message((struct step[]){token, broken}, 1, IOTDA_E_CONNECT, true);
    const struct step overloaded = {.answer = ANSWER("503", "0", "")};
    const struct step limited = {.answer =
                                     ANSWER("403", "29", "{\"error_code\":\"IOTDA.021101\"}")};
    const struct step page = {.answer = ANSWER("200", "6", "<html>")};
    message((struct step[]){token, overloaded}, 1, IOTDA_E_SERVER, true);
    message((struct step[]){token, page}, 1, IOTDA_E_PROTOCOL, true);
    message((struct step[]){token, limited}, 1, IOTDA_E_RATE_LIMITED, false);
    /* An earlier attempt counts as well. */
    message((struct step[]){token, broken, refused}, 2, IOTDA_E_REJECTED, true);
    message((struct step[]){token, broken, no_connection}, 2, IOTDA_E_CONNECT, true);
    message((struct step[]){no_connection, token, refused}, 2, IOTDA_E_REJECTED, false);
    return EXIT_SUCCESS;
}
