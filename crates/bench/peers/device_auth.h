/*
 * The body of an authentication, for the programs that do without libiotda: the password is an
 * HMAC-SHA256 of the secret, keyed with the hour. By OpenSSL, or by mbedTLS where BENCH_MBEDTLS is
 * defined.
 */
#ifndef DEVICE_AUTH_H
#define DEVICE_AUTH_H

#include "bench.h"

#ifdef BENCH_MBEDTLS
#include <mbedtls/md.h>

static inline bool hmac_sha256(const char *key, const char *data, unsigned char out[32]) {
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    return mbedtls_md_hmac(sha256, (const unsigned char *)key, strlen(key),
                           (const unsigned char *)data, strlen(data), out) == 0;
}
#else
#include <openssl/evp.h>
#include <openssl/hmac.h>

static inline bool hmac_sha256(const char *key, const char *data, unsigned char out[32]) {
    unsigned int length = 32;
    return HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)data, strlen(data), out,
                &length) != NULL;
}
#endif

/* Writes the body for the device of the environment. */
static inline void device_auth_body(char *body, size_t size) {
    time_t now = time(NULL);
    struct tm utc;
    char hour[11], password[65];
    unsigned char digest[32];
    strftime(hour, sizeof hour, "%Y%m%d%H", gmtime_r(&now, &utc));
    bench_must(hmac_sha256(hour, bench_setting("IOTDA_DEVICE_SECRET"), digest), "no HMAC");
    for (int i = 0; i < 32; i++)
        snprintf(password + 2 * (size_t)i, 3, "%02x", digest[i]);
    int length =
        snprintf(body, size,
                 "{\"device_id\":\"%s\",\"sign_type\":0,\"timestamp\":\"%s\",\"password\":\"%s\"}",
                 bench_setting("IOTDA_DEVICE_ID"), hour, password);
    bench_must(length > 0 && (size_t)length < size, "the device id is too long");
}

/* Finds the token in an answer, and ends it. A program for the field would parse the JSON. */
static inline char *device_auth_token(char *answer) {
    static const char member[] = "\"access_token\"";
    char *token = strstr(answer, member);
    bench_must(token != NULL, "no access token in the answer");
    token = strchr(token + sizeof member - 1, '"');
    bench_must(token != NULL, "no access token in the answer");
    char *end = strchr(++token, '"');
    bench_must(end != NULL, "no end of the access token");
    *end = '\0';
    return token;
}

#endif
