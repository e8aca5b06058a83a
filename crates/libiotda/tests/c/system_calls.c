/*
 * One of each call, between two system calls that nothing else makes (getppid), while a tracer may let one system call
 * fail. Then a new client reports, and the outbox is opened again. What each call returned is in the file that the
 * first argument names; the second is the outbox's directory. The program itself makes no system call between the
 * marks. Fails if a status does not say what happened, or if what failed once has lasting effects.
 */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* In the order in which crates/libiotda/tests/faults.rs names them. */
enum { AUTH, PROPS, MESSAGE, BATCH, CHILD_1, CHILD_2, OPEN, PUT, FLUSH, LAST, AGAIN, CALLS };

struct result {
    int32_t status;
    int32_t may_have_arrived;
};

static struct result *results;

/* A status that says what happened: never that the program did wrong, nor that the data is bad. */
static void note(int index, iotda_status_t status, const iotda_call_t *call) {
    results[index] = (struct result){status, call->may_have_arrived};
    switch (status) {
    case IOTDA_E_INVALID_ARGUMENT:
    case IOTDA_E_TOO_LARGE:
    case IOTDA_E_CONFIG:
    case IOTDA_E_AUTH_FAILED:
    case IOTDA_E_REJECTED:
    case IOTDA_E_UNKNOWN_CHILD:
    case IOTDA_E_FORKED:
    case IOTDA_E_FULL:
    case IOTDA_E_EXPIRED:
        fprintf(stderr, "call %d: %s: %s\n", index, iotda_status_name(status), call->message);
        exit(EXIT_FAILURE);
    default:
        CHECK((status == IOTDA_OK) == (call->message[0] == '\0'));
    }
}

static iotda_outbox_t *open_outbox(int index, iotda_client_t *client, const char *directory) {
    iotda_outbox_options_t options = IOTDA_OUTBOX_OPTIONS_INIT;
    options.directory = directory;
    options.start_worker = false;
    options.sync_ms = 0;
    iotda_outbox_t *outbox = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_outbox_open(client, &options, &outbox, &call);
    note(index, status, &call);
    CHECK((status == IOTDA_OK) == (outbox != NULL));
    return outbox;
}

static void calls(iotda_client_t *client, const char *directory) {
    static const iotda_service_t services[] = {{"s", "{\"id\":\"props\"}", IOTDA_TIME_NONE},
                                               {"s", "{\"id\":\"child_1\"}", IOTDA_TIME_NONE},
                                               {"s", "{\"id\":\"child_2\"}", IOTDA_TIME_NONE}};
    static const iotda_child_t children[] = {{"child_1", &services[1], 1},
                                             {"child_2", &services[2], 1}};
    iotda_status_t statuses[] = {IOTDA_E_INTERNAL, IOTDA_E_INTERNAL};
    iotda_call_t call = IOTDA_CALL_INIT;
    note(AUTH, iotda_auth(client, &call), &call);
    note(PROPS, iotda_report_props(client, services, 1, &call), &call);
    note(MESSAGE, iotda_report_message(client, "message", 7, &call), &call);
    note(BATCH, iotda_gateway_batch(client, children, 2, statuses, &call), &call);
    results[CHILD_1] = (struct result){statuses[0], call.may_have_arrived};
    results[CHILD_2] = (struct result){statuses[1], call.may_have_arrived};
    iotda_outbox_t *outbox = open_outbox(OPEN, client, directory);
    if (outbox == NULL)
        return;
    note(PUT, iotda_outbox_put_message(outbox, client, "kept", 4, NULL, &call), &call);
    note(FLUSH, iotda_outbox_flush(outbox, &call), &call);
    iotda_outbox_close(outbox);
}

static iotda_client_t *client_of(iotda_config_t *config) {
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    check_status(IOTDA_OK, iotda_init(config, &client, &call), call.message, __FILE__, __LINE__);
    return client;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    int file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(file >= 0 && ftruncate(file, CALLS * sizeof *results) == 0);
    results = mmap(NULL, CALLS * sizeof *results, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(results != MAP_FAILED && close(file) == 0);
    for (int i = 0; i < CALLS; i++)
        results[i] = (struct result){-1, 0};
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_config_set_timeout_ms(config, 20000));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_retry(config, 4, 1, 2));
    iotda_client_t *client = client_of(config);
    getppid();
    calls(client, argv[2]);
    iotda_close(client);
    getppid();
    client = client_of(config);
    iotda_config_free(config);
    iotda_call_t call = IOTDA_CALL_INIT;
    note(LAST, iotda_report_message(client, "last", 4, &call), &call);
    CHECK_STATUS(IOTDA_OK, results[LAST].status);
    iotda_outbox_t *outbox = open_outbox(AGAIN, client, argv[2]);
    CHECK(outbox != NULL);
    check_status(IOTDA_OK, iotda_outbox_flush(outbox, &call), call.message, __FILE__, __LINE__);
    iotda_outbox_close(outbox);
    iotda_close(client);
    return EXIT_SUCCESS;
}
