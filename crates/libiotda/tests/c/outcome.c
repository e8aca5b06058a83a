/*
 * Authenticates once and compares how that ends: outcome STATUS WORD... The message must hold each of
 * the words, and must not hold the secret.
 */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    iotda_client_t *client = client_from_environment();
    iotda_call_t call = IOTDA_CALL_INIT;
    const char *name = iotda_status_name(iotda_auth(client, &call));
    bool as_expected = strcmp(name, argv[1]) == 0;
    for (int i = 2; i < argc; i++)
        as_expected = as_expected && strstr(call.message, argv[i]) != NULL;
    if (!as_expected) {
        fprintf(stderr, "%s, \"%s\", and not", name, call.message);
        for (int i = 1; i < argc; i++)
            fprintf(stderr, " %s", argv[i]);
        fprintf(stderr, "\n");
        return EXIT_FAILURE;
    }
    CHECK(strstr(call.message, setting("IOTDA_DEVICE_SECRET")) == NULL);
    printf("%s: %s\n", name, call.message);
    iotda_close(client);
    return EXIT_SUCCESS;
}
