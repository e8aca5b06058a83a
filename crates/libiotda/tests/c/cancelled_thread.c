/*
 * pthread_cancel on a thread that is in a call: the call ends as it would have ended, and then the thread does. A
 * thread that is cancelled inside the library would take the process with it.
 */
#define _DEFAULT_SOURCE
#include "check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

struct job {
    iotda_client_t *client;
    iotda_call_t call;
    iotda_status_t status;
    bool returned;
    int cancel_state; /* of the thread before the call */
    bool disabled;    /* how the thread has it after the call */
};

static void *stalled_call(void *argument) {
    struct job *job = argument;
    int ignored;
    CHECK(pthread_setcancelstate(job->cancel_state, &ignored) == 0);
    job->status = iotda_auth(job->client, &job->call);
    int after;
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &after) == 0);
    job->disabled = after == PTHREAD_CANCEL_DISABLE;
    job->returned = true;
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &ignored) == 0);
    pthread_testcancel();
    return NULL;
}

/* A server that takes the connection and then says nothing. */
static int silent_server(char *endpoint, size_t size) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, length) == 0 &&
          listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    snprintf(endpoint, size, "https://127.0.0.1:%d", ntohs(address.sin_port));
    return listener;
}

static void in_a_stalled_call(int cancel_state) {
    char endpoint[64];
    int listener = silent_server(endpoint, sizeof endpoint);
    CHECK(setenv("IOTDA_ENDPOINT", endpoint, 1) == 0);

    iotda_cancel_t *cancel = iotda_cancel_new();
    struct job job = {
        client_from_environment(), IOTDA_CALL_INIT, IOTDA_OK, false, cancel_state, false};
    job.call.cancel = cancel;
    job.call.timeout_ms = 60000;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, stalled_call, &job) == 0);

    /* Once it has greeted, it waits for an answer. */
    int connection = accept(listener, NULL, NULL);
    char greeting;
    CHECK(connection >= 0 && recv(connection, &greeting, 1, 0) == 1);
    CHECK(pthread_cancel(thread) == 0);
    iotda_cancel_trigger(cancel);

    void *result = NULL;
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK(job.returned);
    CHECK_STATUS(IOTDA_E_CANCELLED, job.status);
    CHECK(job.disabled == (cancel_state == PTHREAD_CANCEL_DISABLE));
    iotda_close(job.client);
    iotda_cancel_free(cancel);
    close(connection);
    close(listener);
}

static int lines = 0;

/* Cancels its own thread, and then does what would end it. */
static void cancelling_log(void *user_data, int32_t level, const char *line) {
    (void)user_data, (void)level, (void)line;
    CHECK(pthread_cancel(pthread_self()) == 0);
    pthread_testcancel();
    lines++;
}

static void *logging_call(void *argument) {
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK,
                 iotda_config_set_log(config, IOTDA_LOG_DEBUG, cancelling_log, NULL, NULL));
    struct job *job = argument;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &job->client, NULL));
    iotda_config_free(config);
    job->call.timeout_ms = 1;
    job->status = iotda_auth(job->client, &job->call);
    job->returned = true;
    pthread_testcancel();
    return NULL;
}

static void in_the_log(void) {
    char endpoint[64];
    int listener = silent_server(endpoint, sizeof endpoint);
    CHECK(setenv("IOTDA_ENDPOINT", endpoint, 1) == 0);
    struct job job = {NULL, IOTDA_CALL_INIT, IOTDA_OK, false, 0, false};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, logging_call, &job) == 0);
    void *result = NULL;
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED && job.returned && lines > 0);
    CHECK_STATUS(IOTDA_E_TIMEOUT, job.status);
    iotda_close(job.client);
    close(listener);
}

int main(void) {
    in_a_stalled_call(PTHREAD_CANCEL_ENABLE);
    in_a_stalled_call(PTHREAD_CANCEL_DISABLE);
    in_the_log();
    return EXIT_SUCCESS;
}
