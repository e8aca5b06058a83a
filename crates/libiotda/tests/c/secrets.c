/*
 * What is secret leaves no copies in the memory of the process: the secret of a device once its handles are freed,
 * and an access token that is exported. Run without valgrind, whose own memory would be searched as well.
 */
#define _DEFAULT_SOURCE
#include "check.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

enum { MOST = 512 };

/* What is looked for, disguised so as not to be found here. */
struct disguised {
    unsigned char bytes[MOST];
    size_t length;
};

static void disguise(struct disguised *secret, const char *text) {
    secret->length = strlen(text);
    CHECK(secret->length > 0 && secret->length <= MOST);
    for (size_t i = 0; i < secret->length; i++)
        secret->bytes[i] = (unsigned char)text[i] ^ 0x55;
}

static void wipe(void *memory, size_t size) {
    volatile unsigned char *bytes = (volatile unsigned char *)memory;
    while (size-- > 0)
        bytes[size] = 0;
}

static size_t occurrences_in(const unsigned char *memory, size_t size,
                             const struct disguised *secret) {
    size_t found = 0;
    for (size_t at = 0; at + secret->length <= size; at++) {
        size_t same = 0;
        while (same < secret->length && (memory[at + same] ^ 0x55) == secret->bytes[same])
            same++;
        found += same == secret->length;
    }
    return found;
}

/* In all memory that the process can write to, except for the stack: what computations leave there (the block that
 * HMAC works on) is overwritten by the calls that follow, and is not what lasts. */
static size_t occurrences(const struct disguised *secret) {
    static char maps[1 << 16];
    int file = open("/proc/self/maps", O_RDONLY);
    CHECK(file >= 0);
    size_t length = 0;
    for (ssize_t got; (got = read(file, maps + length, sizeof maps - 1 - length)) > 0;)
        length += (size_t)got;
    close(file);
    maps[length] = '\0';
    size_t found = 0;
    for (char *line = strtok(maps, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        unsigned long first = 0;
        unsigned long last = 0;
        char rights[5] = "";
        CHECK(sscanf(line, "%lx-%lx %4s", &first, &last, rights) == 3);
        if (rights[0] == 'r' && rights[1] == 'w' && strstr(line, "[v") == NULL &&
            strstr(line, "[stack]") == NULL)
            found += occurrences_in((const unsigned char *)(uintptr_t)first, last - first, secret);
    }
    return found;
}

/* A token that the platform gave, as it is exported. */
static void get_token(char *text, size_t size) {
    iotda_client_t *client = client_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_auth(client, NULL));
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, text, size, NULL, NULL));
    iotda_close(client);
}

/* Exporting leaves nothing but what it was asked to write. */
static void exporting_leaves_no_copy(void) {
    static struct disguised token;
    char text[MOST];
    get_token(text, sizeof text);
    disguise(&token, strrchr(text, ' ') + 1);
    iotda_config_t *config = config_from_environment();
    iotda_client_t *client = NULL;
    CHECK_STATUS(IOTDA_OK, iotda_config_set_token(config, text));
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, NULL));
    iotda_config_free(config);
    wipe(text, sizeof text);

    size_t before = occurrences(&token);
    CHECK(before > 0);
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, text, sizeof text, NULL, NULL));
    CHECK(strstr(text, " ") != NULL);
    wipe(text, sizeof text);
    CHECK(occurrences(&token) == before);
    iotda_close(client);
}

/* A config, the clients made of it and what they send: nothing is left of the secret but what the environment has. */
static void no_trace_of_the_secret(void) {
    static struct disguised secret;
    const char *text = setting("IOTDA_DEVICE_SECRET");
    disguise(&secret, text);
    size_t before = occurrences(&secret);

    iotda_config_t *config = config_from_environment();
    iotda_client_t *client = NULL;
    iotda_client_t *device = NULL;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT,
                 iotda_config_set_device(config, "a b", text, strlen(text)));
    CHECK_STATUS(IOTDA_OK,
                 iotda_config_set_device(config, setting("IOTDA_DEVICE_ID"), text, strlen(text)));
    CHECK_STATUS(IOTDA_OK, iotda_init(config, &client, NULL));
    CHECK_STATUS(IOTDA_OK, iotda_open_device(client, "second", text, strlen(text), &device, NULL));
    CHECK(occurrences(&secret) > before);
    CHECK_STATUS(IOTDA_OK, iotda_auth(client, NULL));
    CHECK_STATUS(IOTDA_OK, iotda_auth(device, NULL));
    iotda_close(device);
    iotda_close(client);
    iotda_config_free(config);
    CHECK(occurrences(&secret) == before);
}

int main(void) {
    no_trace_of_the_secret();
    exporting_leaves_no_copy();
    return EXIT_SUCCESS;
}
