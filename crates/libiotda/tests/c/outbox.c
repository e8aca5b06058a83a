/*
 * An outbox: what a process puts before it is killed, in an outage, arrives from the next one; dead letters, statistics,
 * the callback, wrong arguments, fork.
 */
#define _POSIX_C_SOURCE 200809L /* mkdtemp, kill */

#include "check.h"
#include "directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRIES = 200 };

static iotda_outbox_options_t by_hand(void) {
    iotda_outbox_options_t options = IOTDA_OUTBOX_OPTIONS_INIT;
    options.directory = directory;
    options.sync_ms = 0;
    options.start_worker = false;
    return options;
}

/* A client whose platform is away: nobody listens at that port. */
static iotda_client_t *client_without_platform(void) {
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_config_set_endpoint(config, "https://127.0.0.1:1"));
    iotda_client_t *client = NULL;
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, NULL));
    iotda_config_free(config);
    return client;
}

/* Puts until it is killed, and says each time what is acknowledged. */
static void put_for_ever(int out) {
    iotda_client_t *client = client_without_platform();
    iotda_outbox_options_t options = by_hand();
    options.start_worker = true;
    iotda_outbox_t *outbox = NULL;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_open(client, &options, &outbox, NULL));
    for (int number = 0;; number++) {
        char text[32];
        int length = snprintf(text, sizeof text, "entry %d", number);
        CHECK_STATUS(IOTDA_OK,
                     iotda_outbox_put_message(outbox, client, text, (size_t)length, NULL, NULL));
        CHECK(write(out, &number, sizeof number) == (ssize_t)sizeof number);
    }
}

static void kill_a_process_that_puts(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(ends[0]);
        put_for_ever(ends[1]);
    }
    close(ends[1]);
    int number = -1;
    while (number < ENTRIES - 1)
        CHECK(read(ends[0], &number, sizeof number) == (ssize_t)sizeof number);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, NULL, 0) == child);
    close(ends[0]);
}

struct outcome {
    uint64_t id;
    unsigned delivered, others;
    iotda_status_t status;
    bool destroyed;
};

static void on_settled(void *user_data, uint64_t id, const char *device_id, iotda_status_t status,
                       const char *message) {
    struct outcome *outcome = user_data;
    CHECK(message != NULL && strcmp(device_id, setting("IOTDA_DEVICE_ID")) == 0);
    outcome->id = id;
    outcome->status = status;
    if (status == IOTDA_OK)
        outcome->delivered++;
    else
        outcome->others++;
}

static void on_destroy(void *user_data) {
    ((struct outcome *)user_data)->destroyed = true;
}

static iotda_outbox_stats_t stats_of(const iotda_outbox_t *outbox) {
    iotda_outbox_stats_t stats = {.struct_size = sizeof stats};
    CHECK_STATUS(IOTDA_OK, iotda_outbox_stats(outbox, &stats));
    return stats;
}

static void deliver_what_the_killed_one_left(iotda_client_t *client) {
    struct outcome outcome = {0};
    iotda_outbox_options_t options = by_hand();
    options.settled = on_settled;
    options.user_data = &outcome;
    options.destroy = on_destroy;
    iotda_outbox_t *outbox = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_open(client, &options, &outbox, &call));
    uint64_t waiting = stats_of(outbox).waiting;
    CHECK(waiting >= ENTRIES);
    call.timeout_ms = 60000;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_flush(outbox, &call));
    iotda_outbox_stats_t stats = stats_of(outbox);
    CHECK(stats.waiting == 0 && stats.delivered == waiting && outcome.delivered == waiting);
    CHECK(outcome.others == 0 && !stats.is_failing && stats.failing_since_s == 0);
    /* Within the second in which what was delivered is synced. */
    CHECK_STATUS(IOTDA_OK, iotda_outbox_pump(outbox, &call));
    CHECK(call.retry_after_ms <= 1000);
    CHECK_STATUS(IOTDA_OK, iotda_outbox_sync(outbox, &call));
    CHECK_STATUS(IOTDA_OK, iotda_outbox_pump(outbox, &call));
    CHECK(call.retry_after_ms == 0 && !outcome.destroyed);
    iotda_outbox_close(outbox);
    CHECK(outcome.destroyed);
}

static void put_each_kind(iotda_client_t *client) {
    iotda_outbox_options_t options = by_hand();
    options.start_worker = true;
    iotda_outbox_t *outbox = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_open(client, &options, &outbox, &call));
    iotda_service_t service = {"s", "{\"v\":1}", IOTDA_TIME_NONE};
    iotda_child_t children[] = {{"child_1", &service, 1}, {"child_2", &service, 1}};
    const char *json = "{\"services\":[{\"service_id\":\"s\",\"properties\":{\"v\":2}}]}";
    const char *batch = "{\"devices\":[{\"device_id\":\"child_1\",\"services\":"
                        "[{\"service_id\":\"s\",\"properties\":{\"v\":3}}]}]}";
    uint64_t first = 0, id = 0;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_put_props(outbox, client, &service, 1, &first, &call));
    CHECK_STATUS(IOTDA_OK,
                 iotda_outbox_put_props_json(outbox, client, json, strlen(json), &id, &call));
    CHECK(first > 0 && id == first + 1);
    CHECK_STATUS(IOTDA_OK, iotda_outbox_put_batch(outbox, client, children, 2, &id, &call));
    CHECK(id == first + 2);
    CHECK_STATUS(IOTDA_OK,
                 iotda_outbox_put_batch_json(outbox, client, batch, strlen(batch), &id, &call));
    CHECK(id == first + 4);
    iotda_outbox_wake(outbox);
    call.timeout_ms = 60000;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_flush(outbox, &call));
    CHECK_STATUS(IOTDA_OK, iotda_outbox_attach(outbox, client, &call));
    uint64_t count = 99;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_discard(outbox, "other", &count, &call));
    CHECK(count == 0);
    iotda_dead_t dead = {.struct_size = sizeof dead};
    size_t length = 99;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_dead_read(outbox, 0, &dead, NULL, 0, &length, &call));
    CHECK(dead.number == 0 && length == 0);
    CHECK_STATUS(IOTDA_OK, iotda_outbox_dead_forget(outbox, 1));
    iotda_outbox_close(outbox);
}

/* With a place for the count, and without one. */
static void discard_what_waits(iotda_client_t *client) {
    iotda_outbox_options_t options = by_hand();
    iotda_outbox_t *outbox = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_open(client, &options, &outbox, &call));
    const char *own = setting("IOTDA_DEVICE_ID");
    uint64_t counted = 0, *const counts[] = {&counted, NULL};
    for (size_t i = 0; i < 2; i++) {
        for (int put = 0; put < 3; put++)
            CHECK_STATUS(IOTDA_OK,
                         iotda_outbox_put_message(outbox, client, "given up", 8, NULL, &call));
        CHECK(stats_of(outbox).waiting == 3);
        CHECK_STATUS(IOTDA_OK, iotda_outbox_discard(outbox, own, counts[i], &call));
        CHECK(stats_of(outbox).waiting == 0);
    }
    CHECK(counted == 3 && stats_of(outbox).discarded == 6);
    iotda_outbox_close(outbox);
}

/* How many descriptors of this process are of the directory or of files in it. */
static int open_below(const char *path) {
    DIR *descriptors = opendir("/proc/self/fd");
    CHECK(descriptors != NULL);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(descriptors)) != NULL;) {
        char link[64], target[512];
        snprintf(link, sizeof link, "/proc/self/fd/%.32s", entry->d_name);
        ssize_t length = readlink(link, target, sizeof target - 1);
        if (length > 0) {
            target[length] = '\0';
            count += strncmp(target, path, strlen(path)) == 0;
        }
    }
    closedir(descriptors);
    return count;
}

/* Every function but close, with what would be right in the parent. */
static void fail_in_the_child(iotda_outbox_t *outbox, iotda_client_t *client) {
    iotda_service_t service = {"s", "{}", IOTDA_TIME_NONE};
    iotda_child_t child = {"child", &service, 1};
    const char *json = "{\"services\":[{\"service_id\":\"s\",\"properties\":{}}]}";
    const char *batch = "{\"devices\":[{\"device_id\":\"c\",\"services\":"
                        "[{\"service_id\":\"s\",\"properties\":{}}]}]}";
    iotda_call_t call = IOTDA_CALL_INIT;
    uint64_t id = 99;
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_attach(outbox, client, &call));
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_put_props(outbox, client, &service, 1, &id, &call));
    CHECK_STATUS(IOTDA_E_FORKED,
                 iotda_outbox_put_props_json(outbox, client, json, strlen(json), &id, &call));
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_put_message(outbox, client, "x", 1, &id, &call));
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_put_batch(outbox, client, &child, 1, &id, &call));
    CHECK_STATUS(IOTDA_E_FORKED,
                 iotda_outbox_put_batch_json(outbox, client, batch, strlen(batch), &id, &call));
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_sync(outbox, &call));
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_pump(outbox, &call));
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_flush(outbox, &call));
    iotda_outbox_wake(outbox);
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_discard(outbox, "child", &id, &call));
    iotda_dead_t dead = {.struct_size = sizeof dead};
    size_t length = 99;
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_dead_read(outbox, 0, &dead, NULL, 0, &length, &call));
    CHECK(strstr(call.message, "fork") != NULL);
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_dead_forget(outbox, 1));
    iotda_outbox_stats_t stats = {.struct_size = sizeof stats};
    CHECK_STATUS(IOTDA_E_FORKED, iotda_outbox_stats(outbox, &stats));
    CHECK(id == 99 && length == 99);
}

static void refuse_what_is_wrong(iotda_client_t *client) {
    struct outcome outcome = {0};
    iotda_outbox_options_t options = by_hand();
    options.destroy = on_destroy;
    options.user_data = &outcome;
    iotda_outbox_t *outbox = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_outbox_open(NULL, &options, &outbox, &call));
    CHECK(outcome.destroyed);
    options.destroy = NULL;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_outbox_open(client, NULL, &outbox, &call));
    options.when_full = 7;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_outbox_open(client, &options, &outbox, &call));
    options.when_full = IOTDA_OUTBOX_DROP_OLDEST;
    options.struct_size = 8;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_outbox_open(client, &options, &outbox, &call));
    options.struct_size = sizeof options;
    options.directory = NULL;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_outbox_open(client, &options, &outbox, &call));
    options.directory = "/proc/none";
    CHECK_STATUS(IOTDA_E_STORAGE, iotda_outbox_open(client, &options, &outbox, &call));
    CHECK(strlen(call.message) > 0 && outbox == NULL);

    options.directory = directory;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_open(client, &options, &outbox, &call));
    iotda_outbox_t *second = NULL;
    CHECK_STATUS(IOTDA_E_STORAGE, iotda_outbox_open(client, &options, &second, &call));
    iotda_service_t service = {"s", "[]", IOTDA_TIME_NONE};
    iotda_child_t children[] = {{"child", NULL, 1}};
    uint64_t id = 99;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                 iotda_outbox_put_props(outbox, client, &service, 1, &id, &call));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                 iotda_outbox_put_batch(outbox, client, children, 1, &id, &call));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                 iotda_outbox_put_message(outbox, NULL, "x", 1, &id, &call));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                 iotda_outbox_put_message(NULL, client, "x", 1, &id, &call));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_outbox_stats(outbox, NULL));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                 iotda_outbox_dead_read(outbox, 0, NULL, NULL, 0, NULL, &call));
    CHECK(id == 99 && stats_of(outbox).waiting == 0);

    /* The child closes its descriptors, that of the lock among them; the parent goes on. */
    CHECK(open_below(directory) > 1);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fail_in_the_child(outbox, client);
        iotda_outbox_close(outbox);
        CHECK(open_below(directory) == 0);
        iotda_close(client);
        _exit(EXIT_SUCCESS);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
    CHECK_STATUS(IOTDA_E_STORAGE, iotda_outbox_open(client, &options, &second, &call));
    CHECK_STATUS(IOTDA_OK, iotda_outbox_put_message(outbox, client, "last", 4, NULL, &call));
    call.timeout_ms = 60000;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_flush(outbox, &call));
    iotda_outbox_close(outbox);
    iotda_outbox_close(NULL);
    iotda_outbox_wake(NULL);
}

enum in_the_child { LINGERS, EXECUTES, CLOSES };

/* A child that lives on: until the parent closes `until`, after it has closed `ready` itself. */
static void live_on(enum in_the_child what, iotda_outbox_t *outbox, int ready, int until) {
    if (what == EXECUTES) {
        CHECK(dup2(until, STDIN_FILENO) == STDIN_FILENO);
        /* `ready` is closed by that. */
        execlp("cat", "cat", (char *)NULL);
        _exit(EXIT_FAILURE);
    }
    if (what == CLOSES) {
        iotda_outbox_close(outbox);
        CHECK(open_below(directory) == 0);
    }
    close(ready);
    char byte;
    CHECK(read(until, &byte, 1) == 0);
    /* What the parent's threads had is left as it was; by exec, nobody takes that for a leak of the child's. */
    execlp("true", "true", (char *)NULL);
    _exit(EXIT_FAILURE);
}

static void pipe_closed_on_exec(int ends[2]) {
    CHECK(pipe(ends) == 0);
    CHECK(fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0);
}

/* Whether the directory is locked by a child that was forked while the outbox was open, and is open no more here. */
static void fork_and_go_on(iotda_client_t *client, enum in_the_child what) {
    iotda_outbox_options_t options = by_hand();
    options.start_worker = true;
    iotda_outbox_t *outbox = NULL;
    CHECK_STATUS(IOTDA_OK, iotda_outbox_open(client, &options, &outbox, NULL));
    int ready[2], until[2];
    pipe_closed_on_exec(ready);
    pipe_closed_on_exec(until);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(ready[0]);
        close(until[1]);
        live_on(what, outbox, ready[1], until[0]);
    }
    close(ready[1]);
    close(until[0]);
    char byte;
    CHECK(read(ready[0], &byte, 1) == 0);
    iotda_outbox_close(outbox);
    outbox = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t expected = what == LINGERS ? IOTDA_E_STORAGE : IOTDA_OK;
    CHECK_STATUS(expected, iotda_outbox_open(client, &options, &outbox, &call));
    CHECK(what != LINGERS || strstr(call.message, "in use") != NULL);
    close(until[1]);
    close(ready[0]);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
    if (what == LINGERS)
        CHECK_STATUS(IOTDA_OK, iotda_outbox_open(client, &options, &outbox, &call));
    iotda_outbox_close(outbox);
}

int main(void) {
    make_directory();
    kill_a_process_that_puts();
    iotda_client_t *client = client_from_environment();
    deliver_what_the_killed_one_left(client);
    put_each_kind(client);
    discard_what_waits(client);
    refuse_what_is_wrong(client);
    fork_and_go_on(client, LINGERS);
    fork_and_go_on(client, EXECUTES);
    fork_and_go_on(client, CLOSES);
    iotda_close(client);
    remove_directory();
    return EXIT_SUCCESS;
}
