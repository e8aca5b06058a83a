/*
 * A custom transport under the TLS of libiotda: sockets that are waited for with poll().
 * On a device whose network is a modem, the same four functions drive the modem.
 *
 *   poll_transport ENDPOINT DEVICE_ID SECRET CA_FILE
 */
#define _POSIX_C_SOURCE 200809L

#include <iotda.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One connection; how many have been opened is what user_data counts. */
struct link {
    int fd;
};

/*
 * Whether fd is ready within the time, and before the call is cancelled: cancel_fd is readable then. poll() ignores
 * a descriptor of -1.
 */
static int wait_for(int fd, short events, uint32_t timeout_ms, int cancel_fd) {
    struct pollfd entries[2] = {{.fd = fd, .events = events}, {.fd = cancel_fd, .events = POLLIN}};
    int timeout = timeout_ms > 86400000 ? 86400000 : (int)timeout_ms;
    return poll(entries, 2, timeout) > 0 && entries[1].revents == 0;
}

/* A name look-up has no timeout here; a modem's own usually has. */
static void *open_link(void *user_data, const char *host, uint16_t port, uint32_t timeout_ms,
                       int cancel_fd) {
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return NULL;

    int fd = -1;
    for (struct addrinfo *address = found; address != NULL && fd < 0; address = address->ai_next) {
        fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
        if (fd < 0)
            continue;
        int failure = 0;
        socklen_t size = sizeof failure;
        fcntl(fd, F_SETFL, O_NONBLOCK);
        if (connect(fd, address->ai_addr, address->ai_addrlen) != 0 &&
            (errno != EINPROGRESS || !wait_for(fd, POLLOUT, timeout_ms, cancel_fd) ||
             getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure != 0)) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);

    struct link *link = fd < 0 ? NULL : malloc(sizeof *link);
    if (link == NULL) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    link->fd = fd;
    ++*(int *)user_data;
    return link;
}

static int64_t send_some(void *connection, const void *data, size_t len, uint32_t timeout_ms) {
    int fd = ((struct link *)connection)->fd;
    for (;;) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent >= 0)
            return sent;
        if (errno != EAGAIN && errno != EINTR)
            return IOTDA_IO_FAILED;
        if (!wait_for(fd, POLLOUT, timeout_ms, -1))
            return IOTDA_IO_TIMEOUT;
    }
}

static int64_t receive_some(void *connection, void *buffer, size_t size, uint32_t timeout_ms) {
    int fd = ((struct link *)connection)->fd;
    for (;;) {
        ssize_t received = recv(fd, buffer, size, 0);
        if (received >= 0)
            return received; /* 0 is the end of the stream, for us as for recv */
        if (errno != EAGAIN && errno != EINTR)
            return IOTDA_IO_FAILED;
        if (!wait_for(fd, POLLIN, timeout_ms, -1))
            return IOTDA_IO_TIMEOUT;
    }
}

static void close_link(void *connection) {
    struct link *link = connection;
    close(link->fd);
    free(link);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: poll_transport ENDPOINT DEVICE_ID SECRET CA_FILE\n");
        return EXIT_FAILURE;
    }
    int opened = 0;
    iotda_transport_t transport = {.struct_size = sizeof transport,
                                   .user_data = &opened,
                                   .connect = open_link,
                                   .send = send_some,
                                   .receive = receive_some,
                                   .close = close_link};

    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, argv[1]);
    iotda_config_set_device(config, argv[2], argv[3], strlen(argv[3]));
    iotda_config_set_ca_file(config, argv[4]);
    iotda_config_set_transport(config, &transport);

    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    iotda_status_t status = iotda_init(config, &client, &call);
    iotda_config_free(config);
    for (int i = 0; i < 3 && status == IOTDA_OK; i++)
        status = iotda_report_message(client, "by poll", 7, &call);
    iotda_close(client);

    if (status != IOTDA_OK) {
        fprintf(stderr, "poll_transport: %s: %s\n", iotda_status_name(status), call.message);
        return EXIT_FAILURE;
    }
    printf("three messages by %d connection\n", opened);
    return EXIT_SUCCESS;
}
