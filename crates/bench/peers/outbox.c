/*
 * Puts reports into an outbox. Nothing is sent: what a put costs, and what the outbox adds to a program.
 *
 *   PROGRAM put N        N property reports, within the time in which nothing is synced
 *   PROGRAM all N        the same, and every other function of the outbox once
 *
 * The outbox is in a new directory below that of the program, and removed at the end.
 */
#include "bench.h"

#include <iotda.h>

#include <dirent.h>
#include <unistd.h>

static char directory[4096];

static void must(iotda_status_t status, const iotda_call_t *call) {
    if (status == IOTDA_OK)
        return;
    fprintf(stderr, "%s: %s\n", iotda_status_name(status), call != NULL ? call->message : "");
    exit(EXIT_FAILURE);
}

static void make_directory(const char *program) {
    snprintf(directory, sizeof directory, "%s-XXXXXX", program);
    bench_must(mkdtemp(directory) != NULL, "no directory");
}

static void remove_directory(void) {
    DIR *files = opendir(directory);
    bench_must(files != NULL, "the directory is gone");
    for (struct dirent *file; (file = readdir(files)) != NULL;)
        unlinkat(dirfd(files), file->d_name, 0);
    closedir(files);
    bench_must(rmdir(directory) == 0, "the directory is not empty");
}

/* Nobody listens at that port, and nothing is sent. */
static iotda_client_t *client_of_nobody(void) {
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, "https://127.0.0.1:1");
    iotda_config_set_device(config, "device", "secret", 6);
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    must(iotda_init(config, &client, &call), &call);
    iotda_config_free(config);
    return client;
}

static iotda_outbox_t *open_outbox(iotda_client_t *client, bool start_worker) {
    iotda_outbox_options_t options = IOTDA_OUTBOX_OPTIONS_INIT;
    options.directory = directory;
    options.sync_ms = 3600 * 1000;
    options.start_worker = start_worker;
    iotda_outbox_t *outbox = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    must(iotda_outbox_open(client, &options, &outbox, &call), &call);
    return outbox;
}

static void put(iotda_outbox_t *outbox, iotda_client_t *client) {
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_service_t service = {BENCH_SERVICE, "{\"Height\":124,\"Speed\":23.24}", BENCH_TIME_MS};
    must(iotda_outbox_put_props(outbox, client, &service, 1, NULL, &call), &call);
}

static void call_all(iotda_outbox_t *outbox, iotda_client_t *client) {
    iotda_call_t call = IOTDA_CALL_INIT;
    call.timeout_ms = 1;
    iotda_service_t service = {BENCH_SERVICE, "{}", BENCH_TIME_MS};
    iotda_child_t child = {"child", &service, 1};
    iotda_outbox_stats_t stats = {.struct_size = sizeof stats};
    iotda_dead_t dead = {.struct_size = sizeof dead};
    iotda_outbox_attach(outbox, client, &call);
    iotda_outbox_put_props_json(outbox, client, BENCH_TEXT, sizeof BENCH_TEXT - 1, NULL, &call);
    iotda_outbox_put_message(outbox, client, "x", 1, NULL, &call);
    iotda_outbox_put_batch(outbox, client, &child, 1, NULL, &call);
    iotda_outbox_put_batch_json(outbox, client, "{}", 2, NULL, &call);
    iotda_outbox_sync(outbox, &call);
    iotda_outbox_pump(outbox, &call);
    iotda_outbox_flush(outbox, &call);
    iotda_outbox_wake(outbox);
    iotda_outbox_discard(outbox, "device", NULL, &call);
    iotda_outbox_dead_read(outbox, 0, &dead, NULL, 0, NULL, &call);
    iotda_outbox_dead_forget(outbox, 0);
    iotda_outbox_stats(outbox, &stats);
}

int main(int argc, char **argv) {
    bench_job_t job = bench_job(argc, argv);
    bool all = bench_is(&job, "all");
    bench_must(all || bench_is(&job, "put"), "no such job");
    make_directory(argv[0]);
    iotda_client_t *client = client_of_nobody();
    iotda_outbox_t *outbox = open_outbox(client, all);
    put(outbox, client); /* what the first one makes is not counted */
    bench_mark_t begin = bench_mark();
    for (long n = 0; n < job.count; n++)
        put(outbox, client);
    bench_done(begin);
    if (all) {
        call_all(outbox, client);
        iotda_outbox_close(outbox);
        iotda_close(client);
    } /* else what is not synced is not: that is no part of a put */
    remove_directory();
    return EXIT_SUCCESS;
}
