/* The property builder: what comes out is JSON, whatever goes in. */
#include "check.h"

#include <limits.h>
#include <locale.h>
#include <math.h>

static void is(const iotda_props_t *props, const char *expected) {
    const char *json = iotda_props_json(props);
    CHECK(json != NULL);
    if (strcmp(json, expected) != 0)
        fprintf(stderr, "%s\n", json);
    CHECK(strcmp(json, expected) == 0);
}

int main(void) {
    /* A decimal comma, where the machine has such a locale, must not get into JSON. */
    setlocale(LC_ALL, "de_DE.UTF-8");

    iotda_props_t *props = iotda_props_new();
    CHECK(props != NULL);
    is(props, "{}");
    CHECK_STATUS(IOTDA_OK, iotda_props_add_integer(props, "least", INT64_MIN));
    CHECK_STATUS(IOTDA_OK, iotda_props_add_integer(props, "most", INT64_MAX));
    is(props, "{\"least\":-9223372036854775808,\"most\":9223372036854775807}");

    iotda_props_clear(props);
    is(props, "{}");
    CHECK_STATUS(IOTDA_OK, iotda_props_add_double(props, "half", 0.5));
    CHECK_STATUS(IOTDA_OK, iotda_props_add_boolean(props, "yes", true));
    CHECK_STATUS(IOTDA_OK, iotda_props_add_boolean(props, "no", false));
    is(props, "{\"half\":0.5,\"yes\":true,\"no\":false}");

    /* What is refused leaves no trace. */
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_props_add_double(props, "x", NAN));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_props_add_double(props, "x", INFINITY));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_props_add_double(props, "x", -INFINITY));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_props_add_string(props, "x", "\xff"));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_props_add_string(props, "\xff", "x"));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_props_add_json(props, "x", "{"));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_props_add_json(props, "x", "1 2"));
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_props_add_json(props, "x", ""));
    is(props, "{\"half\":0.5,\"yes\":true,\"no\":false}");

    iotda_props_clear(props);
    CHECK_STATUS(IOTDA_OK, iotda_props_add_string(props, "a\"b", "\\ \" \n \x01 \xc3\xbc"));
    CHECK_STATUS(IOTDA_OK, iotda_props_add_json(props, "raw", "{\"n\":[1e400,null]}"));
    is(props, "{\"a\\\"b\":\"\\\\ \\\" \\n \\u0001 \xc3\xbc\",\"raw\":{\"n\":[1e400,null]}}");

    iotda_props_free(props);
    return EXIT_SUCCESS;
}
