/*
 * What the C programs of the comparison share: their settings, the values that they report, and the
 * line with which they say what the reports cost them.
 *
 *   PROGRAM values N            N property reports, each body made of its values
 *   PROGRAM text N              N property reports, the body being there as a text
 *   PROGRAM batch N CHILDREN    N times the values of so many child devices, 50 in a request
 *   PROGRAM message N BYTES     N messages of so many bytes, which are there
 *
 * One report more, before those that count, authenticates and opens the connection. The platform and
 * the device are named by the environment: IOTDA_ENDPOINT, IOTDA_CA_FILE, IOTDA_DEVICE_ID,
 * IOTDA_DEVICE_SECRET.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A call that takes longer than this has failed. In milliseconds. */
#define BENCH_TIMEOUT_MS 30000

/* The property report of the platform's documentation: 123 bytes. */
#define BENCH_SERVICE "serviceId"
#define BENCH_HEIGHT 124
#define BENCH_SPEED 23.24
#define BENCH_TIME_MS 1628849410555
#define BENCH_TEXT                                                                                 \
    "{\"services\":[{\"service_id\":\"serviceId\",\"properties\":{\"Height\":124,\"Speed\":23.24}" \
    ","                                                                                            \
    "\"event_time\":\"2021-08-13T10:10:10.555Z\"}]}"

static inline void bench_fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(EXIT_FAILURE);
}

static inline void bench_must(bool holds, const char *what) {
    if (!holds)
        bench_fail(what);
}

static inline const char *bench_setting(const char *name) {
    const char *value = getenv(name);
    if (value == NULL)
        bench_fail(name);
    return value;
}

/* The command line. */
typedef struct {
    const char *job;
    long count;
    long size; /* children, threads or whatever the job counts beside the reports; 0 if not given */
} bench_job_t;

static inline bench_job_t bench_job(int argc, char **argv) {
    bench_must(argc == 3 || argc == 4, "usage: PROGRAM JOB COUNT [SIZE]");
    return (bench_job_t){argv[1], strtol(argv[2], NULL, 10),
                         argc == 4 ? strtol(argv[3], NULL, 10) : 0};
}

static inline bool bench_is(const bench_job_t *job, const char *name) {
    return strcmp(job->job, name) == 0;
}

/* A message of so many bytes: the alphabet, again and again. */
static inline char *bench_message(long size) {
    char *message = malloc((size_t)size + 1);
    bench_must(size > 0 && message != NULL, "no message");
    for (long i = 0; i < size; i++)
        message[i] = (char)('a' + i % 26);
    message[size] = '\0';
    return message;
}

/* The id of a child device. */
static inline void bench_child_id(char id[32], long number) {
    snprintf(id, 32, "child_%06ld", number);
}

/* A point in time, and the processor time used until then, of all threads; in microseconds. */
typedef struct {
    int64_t wall;
    int64_t cpu;
} bench_mark_t;

static inline int64_t bench_clock(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline bench_mark_t bench_mark(void) {
    return (bench_mark_t){bench_clock(CLOCK_MONOTONIC), bench_clock(CLOCK_PROCESS_CPUTIME_ID)};
}

/*
 * The peak of the process's memory, in kB. Not by getrusage, which reports at least the peak of the process
 * that started this one.
 */
static inline long bench_peak(void) {
    char line[256];
    long peak = 0;
    FILE *file = fopen("/proc/self/status", "r");
    bench_must(file != NULL, "no /proc/self/status");
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "VmHWM: %ld", &peak) != 1)
        continue;
    fclose(file);
    return peak;
}

/* Says what it cost between two marks, and the most memory that the process had. */
static inline void bench_spent(bench_mark_t begin, bench_mark_t end) {
    printf("wall_us=%lld cpu_us=%lld peak_kb=%ld\n", (long long)(end.wall - begin.wall),
           (long long)(end.cpu - begin.cpu), bench_peak());
}

static inline void bench_done(bench_mark_t begin) {
    bench_spent(begin, bench_mark());
}

#endif
