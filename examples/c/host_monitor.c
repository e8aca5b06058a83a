/*
 * Reports this machine to IoTDA over HTTPS: itself as a gateway, and its processors, disks and network
 * interfaces as child devices, such as <gateway>_cpu0, <gateway>_disk_sda and <gateway>_if_eth0.
 *
 *   host_monitor ENDPOINT DEVICE_ID SECRET [CA_FILE]
 *
 * What is not an argument is taken from the environment: IOTDA_ENDPOINT, IOTDA_DEVICE_ID,
 * IOTDA_DEVICE_SECRET, IOTDA_CA_FILE. Without a CA file, the public authorities are trusted.
 */
#include <iotda.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { MAX_CHILDREN = 4096 };

static const char *gateway; /* our own device id */
static char ids[MAX_CHILDREN][192];
static iotda_props_t *properties[MAX_CHILDREN];
static iotda_service_t services[MAX_CHILDREN];
static iotda_child_t children[MAX_CHILDREN];
static size_t child_count;

static void must(iotda_status_t status, const char *what, const iotda_call_t *call) {
    if (status == IOTDA_OK)
        return;
    fprintf(stderr, "host_monitor: %s: %s: %s\n", what, iotda_status_name(status),
            call != NULL ? call->message : iotda_status_text(status));
    exit(EXIT_FAILURE);
}

static void add(iotda_props_t *props, const char *name, long long value) {
    must(iotda_props_add_integer(props, name, value), name, NULL);
}

static void add_child(const char *service, const char *name, const char *first, long long value,
                      const char *second, long long second_value) {
    if (child_count == MAX_CHILDREN) {
        fprintf(stderr, "host_monitor: over %d children: %s is left out\n", MAX_CHILDREN, name);
        return;
    }
    char *id = ids[child_count];
    iotda_props_t *props = properties[child_count] = iotda_props_new();
    snprintf(id, sizeof ids[0], "%s_%s%s%s", gateway, service,
             isdigit((unsigned char)name[0]) ? "" : "_", name);
    for (char *c = id; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '-')
            *c = '_'; /* an interface may be called eth0.1, a device id may not */
    add(props, first, value);
    add(props, second, second_value);
    services[child_count] = (iotda_service_t){service, iotda_props_json(props), IOTDA_TIME_NONE};
    children[child_count] = (iotda_child_t){id, &services[child_count], 1};
    child_count++;
}

static void take_cpu(const char *line) {
    char number[16];
    long long user, nice, system, idle;
    if (sscanf(line, "cpu%15[0-9] %lld %lld %lld %lld", number, &user, &nice, &system, &idle) == 5)
        add_child("cpu", number, "BusyTicks", user + nice + system, "IdleTicks", idle);
}

static void take_disk(const char *line) {
    char name[64], path[96];
    long long read, written;
    if (sscanf(line, "%*u %*u %63s %*u %*u %lld %*u %*u %*u %lld", name, &read, &written) != 3)
        return;
    snprintf(path, sizeof path, "/sys/block/%s/device", name);
    if (access(path, F_OK) == 0) /* neither a partition nor a loop */
        add_child("disk", name, "SectorsRead", read, "SectorsWritten", written);
}

static void take_interface(const char *line) {
    char name[64];
    long long in, out;
    if (sscanf(line, " %63[^: ]: %lld %*u %*u %*u %*u %*u %*u %*u %lld", name, &in, &out) == 3)
        add_child("if", name, "BytesReceived", in, "BytesSent", out);
}

static void each_line(const char *path, void (*take)(const char *line)) {
    char line[1024];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return; /* a machine without disks or network has no such file */
    while (fgets(line, sizeof line, file) != NULL)
        take(line);
    fclose(file);
}

static const char *setting(int argc, char **argv, int index, const char *variable) {
    return index < argc ? argv[index] : getenv(variable);
}

int main(int argc, char **argv) {
    const char *endpoint = setting(argc, argv, 1, "IOTDA_ENDPOINT");
    const char *secret = setting(argc, argv, 3, "IOTDA_DEVICE_SECRET");
    const char *ca_file = setting(argc, argv, 4, "IOTDA_CA_FILE");
    gateway = setting(argc, argv, 2, "IOTDA_DEVICE_ID");
    if (endpoint == NULL || gateway == NULL || secret == NULL) {
        fprintf(stderr, "usage: host_monitor ENDPOINT DEVICE_ID SECRET [CA_FILE]\n");
        return EXIT_FAILURE;
    }

    /* 1. Who we are, and whom we trust. What is wrong here is reported by iotda_init; nothing is sent yet. */
    iotda_config_t *config = iotda_config_new();
    iotda_config_set_endpoint(config, endpoint);
    iotda_config_set_device(config, gateway, secret, strlen(secret));
    if (ca_file != NULL)
        iotda_config_set_ca_file(config, ca_file);
    iotda_client_t *client = NULL;
    iotda_call_t call = IOTDA_CALL_INIT;
    must(iotda_init(config, &client, &call), "starting", &call);
    iotda_config_free(config);

    /* 2. A message: any bytes. The first report authenticates by itself. */
    struct utsname system;
    uname(&system);
    iotda_props_t *host = iotda_props_new();
    must(iotda_props_add_string(host, "Host", system.nodename), "Host", NULL);
    must(iotda_props_add_string(host, "Kernel", system.release), "Kernel", NULL);
    const char *hello = iotda_props_json(host);
    must(iotda_report_message(client, hello, strlen(hello), &call), "the message", &call);

    /* 3. Our own properties. */
    iotda_props_clear(host);
    struct sysinfo now;
    sysinfo(&now);
    must(iotda_props_add_double(host, "Load", now.loads[0] / 65536.0), "Load", NULL);
    add(host, "MemoryTotal", (long long)now.totalram * now.mem_unit);
    add(host, "MemoryFree", (long long)now.freeram * now.mem_unit);
    add(host, "Uptime", now.uptime);
    iotda_service_t service = {"host", iotda_props_json(host), IOTDA_TIME_NONE};
    must(iotda_report_props(client, &service, 1, &call), "the properties", &call);

    /* 4. The child devices, any number of them: the library makes as many requests as that takes. */
    each_line("/proc/stat", take_cpu);
    each_line("/proc/diskstats", take_disk);
    each_line("/proc/net/dev", take_interface);
    if (child_count > 0)
        must(iotda_gateway_batch(client, children, child_count, NULL, &call), "the batch", &call);

    printf("reported %s and %zu child devices\n", gateway, child_count);
    while (child_count > 0)
        iotda_props_free(properties[--child_count]);
    iotda_props_free(host);
    iotda_close(client);
    return EXIT_SUCCESS;
}
