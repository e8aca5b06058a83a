/*
 * Every kind of call on a thread with the stack that the header promises to be enough, what the C library keeps there
 * for the thread included, and with memory below it that must not be touched. Prints how much was used.
 */
#define _GNU_SOURCE
#include "check.h"

#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

/* As the header says. */
enum { STACK = 48 * 1024, PAINT = 0xa5 };

static void *all_calls(void *unused) {
    (void)unused;
    iotda_config_t *config = config_from_environment();
    iotda_client_t *client = NULL;
    iotda_client_t *device = NULL;
    /* Not on this stack: what a program keeps there is its own. */
    static iotda_call_t call;
    CHECK_STATUS(IOTDA_OK, iotda_config_set_tls_1_3(config, true));
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, &call));
    iotda_config_free(config);
    CHECK_STATUS(IOTDA_OK, iotda_auth(client, &call));

    iotda_props_t *props = iotda_props_new();
    CHECK_STATUS(IOTDA_OK, iotda_props_add_double(props, "temperature", 21.5));
    CHECK_STATUS(IOTDA_OK, iotda_props_add_json(props, "list", "[1, [2, [3, [4, [5]]]]]"));
    iotda_service_t service = {"s", iotda_props_json(props), 1700000000000};
    iotda_child_t children[2] = {{"one", &service, 1}, {"two", &service, 1}};
    iotda_status_t child_status[2];
    CHECK_STATUS(IOTDA_OK, iotda_report_props(client, &service, 1, &call));
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "x", 1, &call));
    CHECK_STATUS(IOTDA_OK, iotda_gateway_batch(client, children, 2, child_status, &call));
    static const char json[] = "{\"devices\":[{\"device_id\":\"c\",\"services\":"
                               "[{\"service_id\":\"s\",\"properties\":{}}]}]}";
    CHECK_STATUS(IOTDA_OK,
                 iotda_gateway_batch_json(client, json, sizeof json - 1, NULL, 0, NULL, &call));
    CHECK_STATUS(IOTDA_OK,
                 iotda_open_device(client, "second", setting("IOTDA_DEVICE_SECRET"),
                                   strlen(setting("IOTDA_DEVICE_SECRET")), &device, &call));
    CHECK_STATUS(IOTDA_OK, iotda_report_message(device, "x", 1, &call));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_report_message(device, NULL, 1, &call));
    iotda_close(device);
    iotda_props_free(props);
    iotda_close(client);
    return NULL;
}

int main(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t stack = (STACK + page - 1) / page * page;
    /* Some systems refuse a thread with so little: it is given more, which it must not touch either. */
    size_t least = PTHREAD_STACK_MIN > 0 ? (size_t)PTHREAD_STACK_MIN : 0;
    size_t forbidden = page + (least > stack ? (least - stack + page - 1) / page * page : 0);
    unsigned char *memory =
        mmap(NULL, forbidden + stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    CHECK(mprotect(memory, forbidden, PROT_NONE) == 0);
    unsigned char *lowest = memory + forbidden;
    memset(lowest, PAINT, stack);

    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(pthread_attr_init(&attributes) == 0);
    unsigned char *given = least > stack ? memory + page : lowest;
    CHECK(pthread_attr_setstack(&attributes, given, stack + (size_t)(lowest - given)) == 0);
    CHECK(pthread_create(&thread, &attributes, all_calls, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);

    size_t untouched = 0;
    while (untouched < stack && lowest[untouched] == PAINT)
        untouched++;
    printf("%zu of %zu bytes of stack used\n", stack - untouched, stack);
    return EXIT_SUCCESS;
}
