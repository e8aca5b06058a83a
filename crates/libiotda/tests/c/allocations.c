/*
 * Memory that is not there: each allocation of a program that uses the library fails in turn, each time in a process
 * of its own. With "large" only those of at least 32 KiB fail, whose size comes from what the program passed: none of
 * them may end the process. With "all", every one fails: what the library cannot check on stable Rust ends the
 * process by abort(), and nothing else may go wrong. Prints how each kind of call fared.
 *
 * Run without valgrind, which has an allocator of its own.
 */
#define _DEFAULT_SOURCE
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* By the linker's --wrap, the library's allocations come to the functions of the first name, and the system's are those
 * of the second. */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);

static bool armed = false;
static size_t least_size = 0;
static size_t failing = 0;
static size_t seen = 0;

static bool fails(size_t size) {
    return armed && size >= least_size && ++seen == failing;
}

void *__wrap_malloc(size_t size) {
    return fails(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails(count * size) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    return fails(size) ? NULL : __real_realloc(memory, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
    return fails(size) ? ENOMEM : __real_posix_memalign(memory, alignment, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails(size) ? NULL : __real_aligned_alloc(alignment, size);
}

enum { LARGE = 32 * 1024, BYTES = 200 * 1000, CHILDREN = 3000 };

/* What the program passes, made before anything fails. */
static char text[BYTES];
static char *object;
static char *services_json;
static char *devices_json;
static char *pem;
static size_t pem_length;
static iotda_service_t services[CHILDREN];
static iotda_child_t children[CHILDREN];
static char ids[CHILDREN][8];
static iotda_status_t child_status[CHILDREN];

static char *printed(const char *head, const char *repeated, size_t count, const char *tail) {
    size_t size = strlen(head) + strlen(repeated) * count + strlen(tail) + 1;
    char *made = (char *)malloc(size);
    CHECK(made != NULL);
    char *end = stpcpy(made, head);
    for (size_t i = 0; i < count; i++)
        end = stpcpy(end, repeated);
    stpcpy(end, tail);
    return made;
}

static void prepare(bool large) {
    size_t count = large ? CHILDREN : 3;
    object = object_of(large ? BYTES : 10);
    memset(text, 't', sizeof text - 1);
    static const char one_service[] = "{\"service_id\":\"s\",\"properties\":{}},";
    services_json =
        printed("{\"services\":[", one_service, large ? BYTES / (sizeof one_service - 1) : 1,
                "{\"service_id\":\"s\",\"properties\":{}}]}");
    devices_json = printed(
        "{\"devices\":[",
        "{\"device_id\":\"c\",\"services\":[{\"service_id\":\"s\",\"properties\":{}}]},", count,
        "{\"device_id\":\"d\",\"services\":[{\"service_id\":\"s\",\"properties\":{}}]}]}");
    for (size_t i = 0; i < count; i++) {
        services[i] = (iotda_service_t){"s", "{}", IOTDA_TIME_NONE};
        snprintf(ids[i], sizeof ids[i], "c%zu", i);
        children[i] = (iotda_child_t){ids[i], &services[i], 1};
    }
    FILE *file = fopen(setting("IOTDA_CA_FILE"), "r");
    CHECK(file != NULL);
    char *certificate = (char *)calloc(1, 65536);
    CHECK(certificate != NULL && fread(certificate, 1, 65535, file) > 0);
    fclose(file);
    /* What is before a certificate in PEM text is a comment. */
    pem = printed("", "comment\n", large ? BYTES / 8 : 1, certificate);
    pem_length = strlen(pem);
    free(certificate);
}

/* A status that says what happened: never that the program did wrong, nor that an answer was bad. */
static bool is_honest(iotda_status_t status) {
    switch (status) {
    case IOTDA_OK:
    case IOTDA_E_INTERNAL:
        return true;
    case IOTDA_E_DNS:     /* the system's look-up */
    case IOTDA_E_CONNECT: /* the system's sockets */
    case IOTDA_E_PARTIAL:
        return true;
    default:
        return false;
    }
}

static void expect(iotda_status_t status, const iotda_call_t *call) {
    if (is_honest(status))
        return;
    fprintf(stderr, "%s without memory: %s\n", iotda_status_name(status),
            call == NULL ? "" : call->message);
    _exit(3);
}

/* The steps: each arms itself, so that what comes before it does not fail. */
static void config_step(void) {
    armed = true;
    iotda_config_t *config = iotda_config_new();
    if (config == NULL)
        return;
    expect(iotda_config_set_endpoint(config, setting("IOTDA_ENDPOINT")), NULL);
    expect(iotda_config_set_device(config, "device", text, least_size > 0 ? sizeof text : 8), NULL);
    expect(iotda_config_set_ca_pem(config, pem, pem_length), NULL);
    expect(iotda_config_add_ca_pem(config, pem, pem_length), NULL);
    expect(iotda_config_set_token(config, least_size > 0 ? text : "token"), NULL);
    expect(iotda_config_set_token(config, ""), NULL);
    iotda_config_free(config);
}

static void init_step(void) {
    iotda_config_t *config = config_from_environment();
    iotda_client_t *client = NULL;
    iotda_client_t *device = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    armed = true;
    iotda_status_t status = iotda_init(config, &client, &call);
    expect(status, &call);
    iotda_config_free(config);
    if (status != IOTDA_OK)
        return;
    expect(
        iotda_open_device(client, "other", text, least_size > 0 ? sizeof text : 8, &device, &call),
        &call);
    iotda_close(device);
    iotda_close(client);
}

static void builder_step(void) {
    armed = true;
    iotda_props_t *props = iotda_props_new();
    if (props == NULL)
        return;
    expect(iotda_props_add_string(props, "text", least_size > 0 ? text : "t"), NULL);
    expect(iotda_props_add_json(props, "json", object), NULL);
    expect(iotda_props_add_integer(props, "integer", 1), NULL);
    const char *json = iotda_props_json(props);
    CHECK(json == NULL || json[0] == '{');
    iotda_props_free(props);
}

typedef iotda_status_t (*report_t)(iotda_client_t *client, iotda_call_t *call);

static iotda_status_t props(iotda_client_t *client, iotda_call_t *call) {
    iotda_service_t service = {"s", object, IOTDA_TIME_NONE};
    return iotda_report_props(client, &service, 1, call);
}

static iotda_status_t many_props(iotda_client_t *client, iotda_call_t *call) {
    return iotda_report_props(client, services, least_size > 0 ? CHILDREN : 3, call);
}

static iotda_status_t props_json(iotda_client_t *client, iotda_call_t *call) {
    return iotda_report_props_json(client, services_json, strlen(services_json), call);
}

static iotda_status_t message(iotda_client_t *client, iotda_call_t *call) {
    return iotda_report_message(client, text, least_size > 0 ? sizeof text : 8, call);
}

static iotda_status_t batch(iotda_client_t *client, iotda_call_t *call) {
    return iotda_gateway_batch(client, children, least_size > 0 ? CHILDREN : 3, child_status, call);
}

static iotda_status_t batch_json(iotda_client_t *client, iotda_call_t *call) {
    return iotda_gateway_batch_json(client, devices_json, strlen(devices_json), NULL, 0, NULL,
                                    call);
}

/* After what failed, the same client reports. */
static void of_client(report_t report, bool warm) {
    iotda_client_t *client = client_from_environment();
    iotda_call_t call = IOTDA_CALL_INIT;
    if (warm)
        CHECK_STATUS(IOTDA_OK, iotda_auth(client, &call));
    armed = true;
    expect(report(client, &call), &call);
    armed = false;
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "after", 5, &call));
    iotda_close(client);
}

static void auth_step(void) {
    of_client(iotda_auth, false);
}

static void props_step(void) {
    of_client(props, true);
}

static void many_props_step(void) {
    of_client(many_props, true);
}

static void props_json_step(void) {
    of_client(props_json, true);
}

static void message_step(void) {
    of_client(message, true);
}

static void batch_step(void) {
    of_client(batch, true);
}

static void batch_json_step(void) {
    of_client(batch_json, true);
}

/* What large allocations may still end the process: those of the core, in the number that they have today. */
static const struct {
    const char *name;
    void (*run)(void);
    size_t large_aborts;
} steps[] = {
    {"config", config_step, 2},         {"init", init_step, 1},
    {"builder", builder_step, 3},       {"auth", auth_step, 0},
    {"props", props_step, 0},           {"many props", many_props_step, 0},
    {"props json", props_json_step, 0}, {"message", message_step, 0},
    {"batch", batch_step, 1},           {"batch json", batch_json_step, 3},
};

enum { NOT_REACHED = 10, BY_ABORT = -1 };

/* How the step ends if its n-th allocation fails. */
static int outcome(void (*step)(void), size_t n) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* What an abort prints is Rust's own. */
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(4);
        failing = n;
        step();
        armed = false;
        _exit(seen < n ? NOT_REACHED : 0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGABRT ? BY_ABORT : 100 + WTERMSIG(status);
    return WEXITSTATUS(status);
}

/* Allocations that were made to fail. None would mean that the library's are not those of this program. */
static size_t reached = 0;

/* Whether no allocation of the step went wrong, and no more of them ended the process than are known to. */
static bool campaign(const char *name, void (*step)(void), size_t most_aborts) {
    size_t aborts = 0;
    size_t n = 0;
    bool good = true;
    for (;;) {
        int end = outcome(step, ++n);
        if (end == NOT_REACHED)
            break;
        if (end == BY_ABORT) {
            aborts++;
        } else if (end != 0) {
            fprintf(stderr, "%s, allocation %zu: ended by %d\n", name, n, end);
            good = false;
        }
    }
    reached += n - 1;
    printf("%s: %zu of %zu allocations that fail end the process\n", name, aborts, n - 1);
    fflush(stdout);
    if (aborts > most_aborts)
        fprintf(stderr, "%s: %zu aborts, where %zu are known\n", name, aborts, most_aborts);
    return good && aborts <= most_aborts;
}

int main(int argc, char **argv) {
    bool large = argc < 2 || strcmp(argv[1], "all") != 0;
    struct rlimit no_core = {0, 0};
    CHECK(setrlimit(RLIMIT_CORE, &no_core) == 0);
    least_size = large ? LARGE : 0;
    prepare(large);
    bool good = true;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        good =
            campaign(steps[i].name, steps[i].run, large ? steps[i].large_aborts : SIZE_MAX) && good;
    CHECK(reached > sizeof steps / sizeof steps[0]);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
