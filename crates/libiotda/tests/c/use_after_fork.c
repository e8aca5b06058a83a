/* A client in a child process that was made before the fork: refused there, intact in the parent. */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

static void in_the_child(iotda_client_t *client) {
    iotda_service_t service = {"s", "{}", IOTDA_TIME_NONE};
    iotda_child_t child = {"child", &service, 1};
    const char *json = "{\"services\":[{\"service_id\":\"s\",\"properties\":{}}]}";
    const char *batch = "{\"devices\":[{\"device_id\":\"c\",\"services\":"
                        "[{\"service_id\":\"s\",\"properties\":{}}]}]}";
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_E_FORKED, iotda_auth(client, &call));
    CHECK(strlen(call.message) > 0);
    CHECK_STATUS(IOTDA_E_FORKED, iotda_report_message(client, "x", 1, &call));
    CHECK_STATUS(IOTDA_E_FORKED, iotda_report_props(client, &service, 1, &call));
    CHECK_STATUS(IOTDA_E_FORKED, iotda_report_props_json(client, json, strlen(json), &call));
    CHECK_STATUS(IOTDA_E_FORKED, iotda_gateway_batch(client, &child, 1, NULL, &call));
    CHECK_STATUS(IOTDA_E_FORKED,
                 iotda_gateway_batch_json(client, batch, strlen(batch), NULL, 0, NULL, &call));
    iotda_client_t *device = NULL;
    CHECK_STATUS(IOTDA_E_FORKED, iotda_open_device(client, "other", "secret", 6, &device, &call));
    CHECK(device == NULL);
    char token[512] = "untouched";
    size_t length = 99;
    CHECK_STATUS(IOTDA_E_FORKED, iotda_token_export(client, token, sizeof token, &length, &call));
    CHECK(strstr(call.message, "fork") != NULL);
    CHECK(strcmp(token, "untouched") == 0 && length == 99);

    /* What is made after the fork works. */
    iotda_client_t *own = client_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_report_message(own, "from the child", 14, &call));
    iotda_close(own);
    iotda_close(client);
}

int main(void) {
    iotda_client_t *client = client_from_environment();
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "before the fork", 15, NULL));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        in_the_child(client);
        return EXIT_SUCCESS;
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
    /* On the connection that was open before the fork. */
    CHECK_STATUS(IOTDA_OK, iotda_report_message(client, "after the fork", 14, NULL));
    iotda_close(client);
    return EXIT_SUCCESS;
}
