/*
 * What a library that was built with fewer features says, and that it reports all the same:
 * variant [roots] [tls13], with the names of the features that it has.
 */
#include "check.h"

static bool has(int argc, char **argv, const char *feature) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], feature) == 0)
            return true;
    return false;
}

/* No authority is configured: either the public ones are trusted, or that is an error that names the way out. */
static void without_ca(bool has_roots) {
    iotda_config_t *config = iotda_config_new();
    CHECK_STATUS(IOTDA_OK, iotda_config_set_endpoint(config, "https://iot.example"));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_device(config, "device", "secret", 6));
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(has_roots ? IOTDA_OK : IOTDA_E_CONFIG, iotda_init(config, &client, &call));
    CHECK(has_roots ||
          (client == NULL && strstr(call.message, "configure the platform's CA") != NULL));
    iotda_config_free(config);
    iotda_close(client);
}

int main(int argc, char **argv) {
    bool has_tls_1_3 = has(argc, argv, "tls13");
    without_ca(has(argc, argv, "roots"));

    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(has_tls_1_3 ? IOTDA_OK : IOTDA_E_CONFIG, iotda_config_set_tls_1_3(config, true));
    CHECK_STATUS(IOTDA_OK, iotda_config_set_tls_1_3(config, false));
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    check_status(IOTDA_OK, iotda_init(config, &client, &call), call.message, __FILE__, __LINE__);
    iotda_config_free(config);
    check_status(IOTDA_OK, iotda_report_message(client, "of a variant", 12, &call), call.message,
                 __FILE__, __LINE__);
    iotda_close(client);
    return EXIT_SUCCESS;
}
