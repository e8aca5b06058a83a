/*
 * A transport that does TLS itself, here with OpenSSL; on a device with a secure element or a TLS stack of its
 * own, that takes OpenSSL's place. libiotda then puts no TLS on top (is_secure), and the transport must verify
 * the server's certificate and name.
 *
 *   openssl_transport ENDPOINT DEVICE_ID SECRET CA_FILE
 */
#define _POSIX_C_SOURCE 200809L

#include <iotda.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Waits until OpenSSL can go on; 0: the time is over, the call was cancelled (cancel_fd is readable then; poll() ignores
 * -1), or the connection is broken.
 */
static int can_go_on(BIO *link, uint32_t timeout_ms, int cancel_fd) {
    int fd = -1;
    BIO_get_fd(link, &fd);
    struct pollfd entries[2] = {{.fd = fd, .events = BIO_should_read(link) ? POLLIN : POLLOUT},
                                {.fd = cancel_fd, .events = POLLIN}};
    int timeout = timeout_ms > 86400000 ? 86400000 : (int)timeout_ms;
    return BIO_should_retry(link) && poll(entries, 2, timeout) > 0 && entries[1].revents == 0;
}

static void *open_link(void *user_data, const char *host, uint16_t port, uint32_t timeout_ms,
                       int cancel_fd) {
    BIO *link = BIO_new_ssl_connect(user_data);
    if (link == NULL)
        return NULL;
    SSL *ssl = NULL;
    BIO_get_ssl(link, &ssl);
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    BIO_set_conn_hostname(link, host);
    BIO_set_conn_port(link, service);
    BIO_set_nbio(link, 1);

    /* An address in the certificate is another kind of name than a host's. */
    X509_VERIFY_PARAM *verify = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(verify, host) != 1) {
        X509_VERIFY_PARAM_set1_host(verify, host, 0);
        SSL_set_tlsext_host_name(ssl, host);
    }
    while (BIO_do_handshake(link) != 1) {
        if (!can_go_on(link, timeout_ms, cancel_fd)) {
            BIO_free_all(link);
            return NULL;
        }
    }
    return link;
}

static int64_t send_some(void *connection, const void *data, size_t len, uint32_t timeout_ms) {
    for (;;) {
        size_t sent = 0;
        if (BIO_write_ex(connection, data, len, &sent) == 1)
            return (int64_t)sent;
        if (!BIO_should_retry((BIO *)connection))
            return IOTDA_IO_FAILED;
        if (!can_go_on(connection, timeout_ms, -1))
            return IOTDA_IO_TIMEOUT;
    }
}

static int64_t receive_some(void *connection, void *buffer, size_t size, uint32_t timeout_ms) {
    for (;;) {
        size_t received = 0;
        if (BIO_read_ex(connection, buffer, size, &received) == 1)
            return (int64_t)received;
        if (!BIO_should_retry((BIO *)connection))
            return 0; /* closed; what TLS thinks of how it was closed does not matter to HTTP */
        if (!can_go_on(connection, timeout_ms, -1))
            return IOTDA_IO_TIMEOUT;
    }
}

static void close_link(void *connection) {
    BIO_free_all(connection);
}

static void free_context(void *context) {
    SSL_CTX_free(context);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: openssl_transport ENDPOINT DEVICE_ID SECRET CA_FILE\n");
        return EXIT_FAILURE;
    }
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_load_verify_locations(context, argv[4], NULL) != 1) {
        ERR_print_errors_fp(stderr);
        return EXIT_FAILURE;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    iotda_transport_t transport = {.struct_size = sizeof transport,
                                   .user_data = context,
                                   .is_secure = true,
                                   .connect = open_link,
                                   .send = send_some,
                                   .receive = receive_some,
                                   .close = close_link,
                                   .destroy = free_context};

    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, argv[1]);
    iotda_config_set_device(config, argv[2], argv[3], strlen(argv[3]));
    iotda_config_set_transport(config, &transport);
    iotda_config_set_retry(config, 3, 200,
                           1000); /* what OpenSSL refuses looks like no connection */

    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    iotda_config_free(config);
    for (int i = 0; i < 3 && status == IOTDA_OK; i++)
        status = iotda_report_message(client, "by OpenSSL", 10, &call);
    iotda_close(client);

    if (status != IOTDA_OK) {
        fprintf(stderr, "openssl_transport: %s: %s\n", iotda_status_name(status), call.message);
        return EXIT_FAILURE;
    }
    printf("three messages by OpenSSL\n");
    return EXIT_SUCCESS;
}
