/* What the test programs share: two assertions, and a client as the environment describes it. */
#ifndef CHECK_H
#define CHECK_H

#include <iotda.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)

/* The call is made once. Its name is shown if its status is not the one expected. */
#define CHECK_STATUS(expected, call) check_status((expected), (call), #call, __FILE__, __LINE__)

static inline void check(bool holds, const char *what, const char *file, int line) {
    if (holds)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    exit(EXIT_FAILURE);
}

static inline void check_status(iotda_status_t expected, iotda_status_t status, const char *what,
                                const char *file, int line) {
    if (status == expected)
        return;
    fprintf(stderr, "%s:%d: %s instead of %s: %s\n", file, line, iotda_status_name(status),
            iotda_status_name(expected), what);
    exit(EXIT_FAILURE);
}

/* A JSON object of that many bytes and a few more. */
static inline char *object_of(size_t bytes) {
    static const char head[] = "{\"filler\":\"";
    char *object = (char *)malloc(bytes + sizeof head + 2);
    CHECK(object != NULL);
    memcpy(object, head, sizeof head - 1);
    memset(object + sizeof head - 1, 'x', bytes);
    memcpy(object + sizeof head - 1 + bytes, "\"}", 3);
    return object;
}

static inline const char *setting(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set\n", name);
        exit(EXIT_FAILURE);
    }
    return value;
}

static inline iotda_config_t *config_from_environment(void) {
    const char *secret = setting("IOTDA_DEVICE_SECRET");
    iotda_config_t *config = iotda_config_new();
    CHECK(config != NULL);
    CHECK_STATUS(IOTDA_OK, iotda_config_set_endpoint(config, setting("IOTDA_ENDPOINT")));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_device(config, setting("IOTDA_DEVICE_ID"), secret,
                                                   strlen(secret)));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_ca_file(config, setting("IOTDA_CA_FILE")));
    return config;
}

static inline iotda_client_t *client_from_environment(void) {
    iotda_config_t *config = config_from_environment();
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    check_status(IOTDA_OK, iotda_init(config, &client, &call), call.message, __FILE__, __LINE__);
    iotda_config_free(config);
    return client;
}

#endif
