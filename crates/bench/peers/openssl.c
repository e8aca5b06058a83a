/*
 * A report over TLS with OpenSSL and nothing else: the request is made once, and then it is one write and
 * one read for each report. No time limit, no second attempt, and no parsing: each answer must be as long
 * as the first one, which is read by its Content-Length, and begin with the status 200. Only the jobs
 * "text" and "message". A server that closes after its first answer is taken to do so after each: the TLS
 * session is then resumed, if there is one to resume.
 */
#include "device_auth.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

static char host[256], port[8];
static SSL_CTX *context;
static SSL *ssl;
static bool is_closed_after_each;
static char answer[16384];

/* To the first of the host's addresses that answers. */
static int connect_to_server(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses;
    bench_must(getaddrinfo(host, port, &hints, &addresses) == 0, "no such host");
    int fd = -1, on = 1;
    for (struct addrinfo *address = addresses; address != NULL && fd < 0;
         address = address->ai_next) {
        fd = socket(address->ai_family, SOCK_STREAM, 0);
        if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(addresses);
    bench_must(fd >= 0, "no connection");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void open_connection(SSL_SESSION *session) {
    ssl = SSL_new(context);
    bench_must(ssl != NULL && SSL_set1_host(ssl, host) == 1, "no host name");
    SSL_set_tlsext_host_name(ssl, host);
    if (session != NULL)
        SSL_set_session(ssl, session);
    SSL_set_fd(ssl, connect_to_server());
    bench_must(SSL_connect(ssl) == 1, "no handshake");
}

static void close_connection(void) {
    SSL_shutdown(ssl);
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static void reopen_connection(void) {
    SSL_SESSION *session = SSL_get1_session(ssl);
    close_connection();
    open_connection(session);
    SSL_SESSION_free(session);
}

static const char success[] = "HTTP/1.1 200";

/* Reads one answer to its end, and checks that it is a success. Returns its length. */
static size_t read_answer(void) {
    size_t length = 0;
    const char *body = NULL;
    long rest = 0;
    do {
        int got = SSL_read(ssl, answer + length, (int)(sizeof answer - 1 - length));
        bench_must(got > 0, "the connection ended");
        length += (size_t)got;
        answer[length] = '\0';
        if (body == NULL && (body = strstr(answer, "\r\n\r\n")) != NULL) {
            body += 4;
            const char *header = strcasestr(answer, "\r\ncontent-length:");
            bench_must(header != NULL && header < body, "no length");
            rest = strtol(header + 17, NULL, 10);
        }
    } while (body == NULL || answer + length < body + rest);
    bench_must(strncmp(answer, success, sizeof success - 1) == 0, answer);
    return length;
}

static void send_request(const char *request, size_t length) {
    if (is_closed_after_each)
        reopen_connection();
    bench_must(SSL_write(ssl, request, (int)length) == (int)length, "not sent");
}

/* One more of the same, whose answer is as long as the one before. */
static void repeat(const char *request, size_t length, size_t expected) {
    send_request(request, length);
    for (size_t got = 0; got < expected;) {
        int more = SSL_read(ssl, answer + got, (int)(sizeof answer - got));
        bench_must(more > 0, "the connection ended");
        got += (size_t)more;
        bench_must(got <= expected, "an answer of another length");
    }
    bench_must(memcmp(answer, success, sizeof success - 1) == 0, "no success");
}

int main(int argc, char **argv) {
    bench_job_t job = bench_job(argc, argv);
    bool is_message = bench_is(&job, "message");
    bench_must(is_message || bench_is(&job, "text"), "no such job");
    char body[512], request[2048];
    const char *device = bench_setting("IOTDA_DEVICE_ID");
    bench_must(sscanf(bench_setting("IOTDA_ENDPOINT"), "https://%255[^:/]:%7[0-9]", host, port) ==
                   2,
               "not https://host:port");

    context = SSL_CTX_new(TLS_client_method());
    bench_must(context != NULL, "no TLS");
    bench_must(SSL_CTX_load_verify_locations(context, bench_setting("IOTDA_CA_FILE"), NULL) == 1,
               "no CA");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(context, 1); /* header and content of a record in one read */
    open_connection(NULL);

    static const char head[] =
        "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n";
    device_auth_body(body, sizeof body);
    int length =
        snprintf(request, sizeof request, head, "/v5/device-auth", host, port, strlen(body));
    length += snprintf(request + length, sizeof request - (size_t)length, "\r\n%s", body);
    send_request(request, (size_t)length);
    read_answer();
    is_closed_after_each = strcasestr(answer, "\r\nconnection: close") != NULL;
    const char *token = device_auth_token(answer);

    char path[256];
    snprintf(path, sizeof path, "/v5/devices/%s/sys/%s", device,
             is_message ? "messages/up" : "properties/report");
    char *message = is_message ? bench_message(job.size) : NULL;
    const char *content = is_message ? message : BENCH_TEXT;
    size_t capacity = strlen(content) + 1024;
    char *report = malloc(capacity);
    bench_must(report != NULL, "no memory");
    size_t size = (size_t)snprintf(report, capacity, head, path, host, port, strlen(content));
    size += (size_t)snprintf(report + size, capacity - size, "access_token: %s\r\n\r\n%s", token,
                             content);
    bench_must(size < capacity, "too long a request");
    send_request(report, size);
    size_t expected = read_answer();

    bench_mark_t begin = bench_mark();
    for (long n = 0; n < job.count; n++)
        repeat(report, size, expected);
    bench_done(begin);
    free(report);
    free(message);
    close_connection();
    SSL_CTX_free(context);
    return EXIT_SUCCESS;
}
