/*
 * Reports through libiotda. Beside the jobs of bench.h:
 *
 *   object N        N property reports, the properties being there as the text of an object
 *   message N       N messages, of the same bytes as the report
 *   threads N T     N property reports by T threads on one client; also says what the slowest hundredth took, and how
 *                   many TLS handshakes there were
 *   unknown N C     N batches of C children, of which the platform does not know the last; also says in how many
 *                   requests the first of them went, and in how many the others
 *   fleet N D       D devices of one client, N reports in turn; also says what a device takes of memory
 */
#include "bench.h"

#include <iotda.h>

#include <pthread.h>
#include <unistd.h>

static void must(iotda_status_t status, const iotda_call_t *call) {
    if (status == IOTDA_OK)
        return;
    fprintf(stderr, "%s: %s\n", iotda_status_name(status), call != NULL ? call->message : "");
    exit(EXIT_FAILURE);
}

static iotda_client_t *client_from_environment(void) {
    const char *secret = bench_setting("IOTDA_DEVICE_SECRET");
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, bench_setting("IOTDA_ENDPOINT"));
    iotda_config_set_device(config, bench_setting("IOTDA_DEVICE_ID"), secret, strlen(secret));
    iotda_config_set_ca_file(config, bench_setting("IOTDA_CA_FILE"));
    iotda_config_set_timeout_ms(config, BENCH_TIMEOUT_MS);
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    must(iotda_init(config, &client, &call), &call);
    iotda_config_free(config);
    return client;
}

static void set_values(iotda_props_t *props, int64_t height, double speed) {
    iotda_props_clear(props);
    must(iotda_props_add_integer(props, "Height", height), NULL);
    must(iotda_props_add_double(props, "Speed", speed), NULL);
}

static void report_values(iotda_client_t *client, iotda_props_t *props) {
    iotda_call_t call = IOTDA_CALL_INIT;
    set_values(props, BENCH_HEIGHT, BENCH_SPEED);
    iotda_service_t service = {BENCH_SERVICE, iotda_props_json(props), BENCH_TIME_MS};
    must(iotda_report_props(client, &service, 1, &call), &call);
}

static void report_object(iotda_client_t *client) {
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_service_t service = {BENCH_SERVICE, "{\"Height\":124,\"Speed\":23.24}", BENCH_TIME_MS};
    must(iotda_report_props(client, &service, 1, &call), &call);
}

static void report_text(iotda_client_t *client) {
    iotda_call_t call = IOTDA_CALL_INIT;
    must(iotda_report_props_json(client, BENCH_TEXT, sizeof BENCH_TEXT - 1, &call), &call);
}

static void report_message(iotda_client_t *client, const char *message, size_t length) {
    iotda_call_t call = IOTDA_CALL_INIT;
    must(iotda_report_message(client, message, length, &call), &call);
}

static iotda_stats_t stats_of(const iotda_client_t *client) {
    iotda_stats_t stats = {.struct_size = sizeof stats};
    must(iotda_stats(client, &stats), NULL);
    return stats;
}

static void run_batches(iotda_client_t *client, const bench_job_t *job, bool is_last_unknown) {
    size_t size = (size_t)job->size;
    uint64_t before = stats_of(client).requests, first = 0;
    char(*ids)[32] = calloc(size, sizeof *ids);
    iotda_props_t **props = calloc(size, sizeof *props);
    iotda_service_t *services = calloc(size, sizeof *services);
    iotda_child_t *children = calloc(size, sizeof *children);
    bench_must(ids != NULL && props != NULL && services != NULL && children != NULL, "no memory");
    for (size_t i = 0; i < size; i++) {
        bench_child_id(ids[i], (long)i);
        props[i] = iotda_props_new();
    }
    bench_mark_t begin = bench_mark();
    for (long n = 0; n < job->count; n++) {
        for (size_t i = 0; i < size; i++) {
            set_values(props[i], BENCH_HEIGHT + (int64_t)i, BENCH_SPEED);
            services[i] =
                (iotda_service_t){BENCH_SERVICE, iotda_props_json(props[i]), BENCH_TIME_MS};
            children[i] = (iotda_child_t){ids[i], &services[i], 1};
        }
        iotda_call_t call = IOTDA_CALL_INIT;
        iotda_status_t status = iotda_gateway_batch(client, children, size, NULL, &call);
        if (!is_last_unknown || status != IOTDA_E_PARTIAL)
            must(status, &call);
        if (n == 0)
            first = stats_of(client).requests - before;
    }
    if (is_last_unknown)
        printf("first_requests=%llu requests=%llu ", (unsigned long long)first,
               (unsigned long long)(stats_of(client).requests - before - first));
    bench_done(begin);
    for (size_t i = 0; i < size; i++)
        iotda_props_free(props[i]);
    free(children);
    free(services);
    free(props);
    free(ids);
}

typedef struct {
    iotda_client_t *client;
    int64_t *took; /* by each report, in microseconds */
    long count;
} share_t;

static void *report_share(void *argument) {
    const share_t *share = argument;
    for (long n = 0; n < share->count; n++) {
        int64_t begin = bench_clock(CLOCK_MONOTONIC);
        report_object(share->client);
        share->took[n] = bench_clock(CLOCK_MONOTONIC) - begin;
    }
    return NULL;
}

static int by_value(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void run_threads(iotda_client_t *client, const bench_job_t *job) {
    pthread_t threads[256];
    share_t shares[256];
    bench_must(job->size > 0 && job->size <= 256, "1 to 256 threads");
    long each = job->count / job->size, count = each * job->size;
    int64_t *took = calloc((size_t)count, sizeof *took);
    bench_must(count > 0 && took != NULL, "no report for each thread");
    bench_mark_t begin = bench_mark();
    for (long i = 0; i < job->size; i++) {
        shares[i] = (share_t){client, took + i * each, each};
        bench_must(pthread_create(&threads[i], NULL, report_share, &shares[i]) == 0, "no thread");
    }
    for (long i = 0; i < job->size; i++)
        pthread_join(threads[i], NULL);
    iotda_stats_t stats = stats_of(client);
    bench_mark_t end = bench_mark();
    qsort(took, (size_t)count, sizeof *took, by_value);
    printf("p99_us=%lld handshakes=%llu ", (long long)took[count - 1 - count / 100],
           (unsigned long long)(stats.handshakes_full + stats.handshakes_resumed));
    bench_spent(begin, end);
    free(took);
}

/* What this process has of memory, in bytes. */
static long resident(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    bench_must(file != NULL && fscanf(file, "%*d %ld", &pages) == 1, "no /proc/self/statm");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void run_fleet(iotda_client_t *client, const bench_job_t *job) {
    const char *secret = bench_setting("IOTDA_DEVICE_SECRET");
    iotda_client_t **devices = calloc((size_t)job->size, sizeof(iotda_client_t *));
    bench_must(devices != NULL, "no memory");
    memset(devices, 1, (size_t)job->size * sizeof *devices); /* so that it is resident already */
    long empty = resident();
    bench_mark_t begin = bench_mark();
    for (long i = 0; i < job->size; i++) {
        iotda_call_t call = IOTDA_CALL_INIT;
        char id[32];
        bench_child_id(id, i);
        must(iotda_open_device(client, id, secret, strlen(secret), &devices[i], &call), &call);
    }
    int64_t opened = bench_mark().cpu - begin.cpu;
    long open = resident();
    for (long i = 0; i < job->size; i++)
        report_object(devices[i]); /* authenticates */
    long warm = resident();
    begin = bench_mark();
    for (long n = 0; n < job->count; n++)
        report_object(devices[n % job->size]);
    printf("open_us=%lld open_bytes=%ld warm_bytes=%ld ", (long long)opened, open - empty,
           warm - empty);
    bench_done(begin);
    for (long i = 0; i < job->size; i++)
        iotda_close(devices[i]);
    free(devices);
}

int main(int argc, char **argv) {
    bench_job_t job = bench_job(argc, argv);
    iotda_client_t *client = client_from_environment();
    iotda_props_t *props = iotda_props_new();
    report_values(client, props);
    if (bench_is(&job, "batch") || bench_is(&job, "unknown")) {
        run_batches(client, &job, bench_is(&job, "unknown"));
    } else if (bench_is(&job, "threads")) {
        run_threads(client, &job);
    } else if (bench_is(&job, "fleet")) {
        run_fleet(client, &job);
    } else {
        bool values = bench_is(&job, "values"), object = bench_is(&job, "object");
        bool text = bench_is(&job, "text"), message = bench_is(&job, "message");
        bench_must(values || object || text || message, "no such job");
        char *of_size = job.size > 0 ? bench_message(job.size) : NULL;
        const char *sent = of_size != NULL ? of_size : BENCH_TEXT;
        size_t length = strlen(sent);
        bench_mark_t begin = bench_mark();
        for (long n = 0; n < job.count; n++) {
            if (values)
                report_values(client, props);
            else if (object)
                report_object(client);
            else if (text)
                report_text(client);
            else
                report_message(client, sent, length);
        }
        bench_done(begin);
        free(of_size);
    }
    iotda_props_free(props);
    iotda_close(client);
    return EXIT_SUCCESS;
}
