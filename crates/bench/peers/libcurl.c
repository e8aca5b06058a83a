/*
 * Reports through libcurl, the bodies made with cJSON: one handle for all requests, which keeps its
 * connection; the headers and addresses made once; nothing sent that the platform does not ask for.
 */
#include "device_auth.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>

enum { CHILDREN_PER_REQUEST = 50 };

static CURL *curl;
static char answer[4096];
static size_t answer_length;

static size_t take_answer(char *data, size_t size, size_t count, void *user_data) {
    (void)user_data;
    size_t length = size * count;
    if (length >= sizeof answer - answer_length)
        return 0; /* too long to be an answer: the transfer fails */
    memcpy(answer + answer_length, data, length);
    answer_length += length;
    answer[answer_length] = '\0';
    return length;
}

static void must(CURLcode code, const char *what) {
    if (code == CURLE_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, curl_easy_strerror(code));
    exit(EXIT_FAILURE);
}

static void post(const char *body, size_t length) {
    long status = 0;
    answer_length = 0;
    must(curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body), "body");
    must(curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)length), "length");
    must(curl_easy_perform(curl), "request");
    must(curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status), "status");
    bench_must(status == 200, answer);
}

static void set_path(const char *path) {
    char url[512];
    snprintf(url, sizeof url, "%s%s", bench_setting("IOTDA_ENDPOINT"), path);
    must(curl_easy_setopt(curl, CURLOPT_URL, url), "address");
}

static void set_up(void) {
    must(curl_global_init(CURL_GLOBAL_DEFAULT), "libcurl");
    curl = curl_easy_init();
    bench_must(curl != NULL, "no handle");
    must(curl_easy_setopt(curl, CURLOPT_CAINFO, bench_setting("IOTDA_CA_FILE")), "CA");
    /* Else libcurl reads a directory of authorities too: with mbedTLS, all of it for each connection. */
    must(curl_easy_setopt(curl, CURLOPT_CAPATH, NULL), "no directory of CAs");
    must(curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1), "HTTP/1.1");
    must(curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)BENCH_TIMEOUT_MS), "timeout");
    must(curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L), "no signals");
    must(curl_easy_setopt(curl, CURLOPT_PROXY, ""), "no proxy of the environment");
    must(curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer), "answer");
}

static struct curl_slist *headers_with(const char *token) {
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Accept:"); /* not sent then */
    headers = curl_slist_append(headers,
                                "Expect:"); /* else a long message waits for the server's consent */
    if (token != NULL) {
        char header[320];
        snprintf(header, sizeof header, "access_token: %s", token);
        headers = curl_slist_append(headers, header);
    }
    must(curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers), "headers");
    return headers;
}

static struct curl_slist *authenticate(void) {
    char body[512];
    device_auth_body(body, sizeof body);
    struct curl_slist *headers = headers_with(NULL);
    set_path("/v5/device-auth");
    post(body, strlen(body));
    curl_slist_free_all(headers);
    return headers_with(device_auth_token(answer));
}

/* "services":[...] of one service. */
static void add_services(cJSON *object, int height) {
    char time[32];
    time_t seconds = BENCH_TIME_MS / 1000;
    struct tm utc;
    size_t length = strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &utc));
    snprintf(time + length, sizeof time - length, ".%03dZ", (int)(BENCH_TIME_MS % 1000));

    cJSON *services = cJSON_AddArrayToObject(object, "services");
    cJSON *service = cJSON_CreateObject();
    cJSON_AddItemToArray(services, service);
    cJSON_AddStringToObject(service, "service_id", BENCH_SERVICE);
    cJSON *properties = cJSON_AddObjectToObject(service, "properties");
    cJSON_AddNumberToObject(properties, "Height", height);
    cJSON_AddNumberToObject(properties, "Speed", BENCH_SPEED);
    bench_must(cJSON_AddStringToObject(service, "event_time", time) != NULL, "no memory");
}

/* Sends a document and frees it. The memory for its text is kept from one to the next. */
static void post_document(cJSON *document) {
    static char text[65536];
    bench_must(cJSON_PrintPreallocated(document, text, sizeof text, 0), "too long a document");
    cJSON_Delete(document);
    post(text, strlen(text));
}

static void report_values(void) {
    cJSON *document = cJSON_CreateObject();
    add_services(document, BENCH_HEIGHT);
    post_document(document);
}

static void report_children(char (*ids)[32], long count) {
    for (long from = 0; from < count; from += CHILDREN_PER_REQUEST) {
        cJSON *document = cJSON_CreateObject();
        cJSON *devices = cJSON_AddArrayToObject(document, "devices");
        for (long i = from; i < count && i < from + CHILDREN_PER_REQUEST; i++) {
            cJSON *device = cJSON_CreateObject();
            cJSON_AddItemToArray(devices, device);
            cJSON_AddStringToObject(device, "device_id", ids[i]);
            add_services(device, BENCH_HEIGHT + (int)i);
        }
        post_document(document);
    }
}

static void run_batches(const bench_job_t *job) {
    char(*ids)[32] = calloc((size_t)job->size, sizeof *ids);
    bench_must(ids != NULL, "no memory");
    for (long i = 0; i < job->size; i++)
        bench_child_id(ids[i], i);
    bench_mark_t begin = bench_mark();
    for (long n = 0; n < job->count; n++)
        report_children(ids, job->size);
    bench_done(begin);
    free(ids);
}

static void run_messages(const bench_job_t *job) {
    char *message = bench_message(job->size);
    bench_mark_t begin = bench_mark();
    for (long n = 0; n < job->count; n++)
        post(message, (size_t)job->size);
    bench_done(begin);
    free(message);
}

int main(int argc, char **argv) {
    bench_job_t job = bench_job(argc, argv);
    char path[256];
    const char *device = bench_setting("IOTDA_DEVICE_ID");
    set_up();
    struct curl_slist *headers = authenticate();
    snprintf(path, sizeof path, "/v5/devices/%s/sys/properties/report", device);
    set_path(path);
    report_values();
    if (bench_is(&job, "batch")) {
        snprintf(path, sizeof path, "/v5/devices/%s/sys/gateway/sub-devices/properties/report",
                 device);
        set_path(path);
        run_batches(&job);
    } else if (bench_is(&job, "message")) {
        snprintf(path, sizeof path, "/v5/devices/%s/sys/messages/up", device);
        set_path(path);
        run_messages(&job);
    } else {
        bool values = bench_is(&job, "values");
        bench_must(values || bench_is(&job, "text"), "no such job");
        bench_mark_t begin = bench_mark();
        for (long n = 0; n < job.count; n++) {
            if (values)
                report_values();
            else
                post(BENCH_TEXT, sizeof BENCH_TEXT - 1);
        }
        bench_done(begin);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    return EXIT_SUCCESS;
}
