/*
 * A device's token that several processes share: given to the program when it is issued, handed to another client, and
 * asked for by the program alone. What must arrive is in ../c.rs.
 */
#include "check.h"

/* What the callback was given last. */
struct issued {
    int count;
    int destroyed;
    char device_id[129];
    char token[512];
};

static void keep(void *user_data, const char *device_id, const char *token) {
    struct issued *issued = user_data;
    issued->count++;
    CHECK(strlen(device_id) < sizeof issued->device_id && strlen(token) < sizeof issued->token);
    strcpy(issued->device_id, device_id);
    strcpy(issued->token, token);
}

static void count_destroyed(void *user_data) {
    struct issued *issued = user_data;
    issued->destroyed++;
}

static iotda_client_t *client_of(iotda_config_t *config) {
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    check_status(IOTDA_OK, iotda_init(config, &client, &call), call.message, __FILE__, __LINE__);
    iotda_config_free(config);
    return client;
}

static iotda_client_t *client_when_asked(void) {
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_config_set_authentication(config, IOTDA_AUTHENTICATE_WHEN_ASKED));
    return client_of(config);
}

/* The token is one of a device whose client has it. */
static void is_of(const struct issued *issued, const char *device_id, iotda_client_t *client) {
    char token[512];
    CHECK(strcmp(issued->device_id, device_id) == 0);
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, token, sizeof token, NULL, NULL));
    CHECK(strcmp(issued->token, token) == 0);
}

static void refused_for_lack_of_a_token(iotda_client_t *client) {
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_E_TOKEN_REJECTED, iotda_report_message(client, "refused", 7, &call));
    CHECK(call.http_status == 0 && call.attempts == 0 && !call.may_have_arrived);
    CHECK(strstr(call.message, "authenticate (iotda_auth) or import a token") == call.message);
    iotda_stats_t stats = {.struct_size = sizeof stats};
    CHECK_STATUS(IOTDA_OK, iotda_stats(client, &stats));
    CHECK(stats.authentications == 0);
}

static void imports_that_are_refused(iotda_client_t *client, const char *of_another) {
    char before[512];
    char after[512];
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, before, sizeof before, NULL, NULL));
    char cut[512];
    strcpy(cut, before);
    cut[strlen(cut) - 1] = '\0';
    const char *const wrong[] = {"", "no token", "a\xff", cut, of_another};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_token_import(client, wrong[i], &call));
        CHECK(strstr(call.message, "import a token that device") == call.message);
        CHECK(strstr(call.message, strrchr(before, ' ')) == NULL);
    }
    CHECK(strstr(call.message, "belongs to another device") != NULL);
    CHECK_STATUS(IOTDA_OK, iotda_token_export(client, after, sizeof after, NULL, NULL));
    CHECK(strcmp(before, after) == 0);
}

/* Devices that are opened with a token; a damaged one costs an authentication, and no more. */
static void opened_with_a_token(iotda_client_t *client, const struct issued *second) {
    const char *secret = setting("IOTDA_DEVICE_SECRET");
    const char *const tokens[] = {second->token, NULL, "", "damaged", "a\xff"};
    iotda_call_t call = IOTDA_CALL_INIT;
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        iotda_client_t *device = NULL;
        CHECK_STATUS(IOTDA_OK,
                     iotda_open_device_with_token(client, "second", secret, strlen(secret),
                                                  tokens[i], &device, &call));
        if (i == 0)
            CHECK_STATUS(IOTDA_OK, iotda_report_message(device, "opened", 6, &call));
        else
            refused_for_lack_of_a_token(device);
        iotda_close(device);
    }
}

int main(void) {
    static struct issued issued;
    iotda_config_t *config = config_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_config_set_token_callback(config, keep, &issued, count_destroyed));
    iotda_client_t *first = client_of(config);
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_OK, iotda_report_message(first, "first", 5, &call));
    CHECK(issued.count == 1);
    is_of(&issued, setting("IOTDA_DEVICE_ID"), first);
    const struct issued of_first = issued;

    const char *secret = setting("IOTDA_DEVICE_SECRET");
    iotda_client_t *device = NULL;
    CHECK_STATUS(IOTDA_OK,
                 iotda_open_device(first, "second", secret, strlen(secret), &device, &call));
    CHECK_STATUS(IOTDA_OK, iotda_auth(device, &call));
    CHECK(issued.count == 2);
    is_of(&issued, "second", device);
    const struct issued of_second = issued;

    /* Another process, which is handed the token. */
    iotda_client_t *other = client_when_asked();
    refused_for_lack_of_a_token(other);
    CHECK_STATUS(IOTDA_OK, iotda_token_import(other, of_first.token, &call));
    CHECK_STATUS(IOTDA_OK, iotda_report_message(other, "other", 5, &call));
    imports_that_are_refused(other, of_second.token);
    CHECK_STATUS(IOTDA_OK, iotda_report_message(other, "still", 5, &call));
    opened_with_a_token(other, &of_second);
    iotda_close(other);

    /* An import is no authentication. */
    CHECK_STATUS(IOTDA_OK, iotda_token_import(device, of_second.token, &call));
    CHECK(issued.count == 2);

    /* The program asks for what no report does. */
    other = client_when_asked();
    CHECK_STATUS(IOTDA_OK, iotda_auth(other, &call));
    CHECK_STATUS(IOTDA_OK, iotda_report_message(other, "asked", 5, &call));
    iotda_close(other);

    iotda_close(first);
    CHECK(issued.destroyed == 0);
    iotda_close(device);
    CHECK(issued.destroyed == 1);
    return EXIT_SUCCESS;
}
