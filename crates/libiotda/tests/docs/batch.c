/* The example of iotda_gateway_batch_json, in a function that has its variables. */
#include <iotda.h>

#include <stdio.h>
#include <string.h>

static void report(iotda_client_t *client, const char *json) {
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t statuses[100];
    size_t count;
    iotda_gateway_batch_json(client, json, strlen(json), statuses, 100, &count, &call);
    for (size_t i = 0; i < count && i < 100; i++)
        printf("%s\n", iotda_status_name(statuses[i]));
}

int main(void) {
    report(NULL, "{}");
    return 0;
}
