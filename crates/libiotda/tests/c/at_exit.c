/*
 * A client that is used and closed where a process or a thread ends: in an exit handler, in a destructor function,
 * in the destructor of a thread-specific value. By then the C library
 * has destroyed the thread-local objects of C++ and of Rust. Built with PANIC_HOOK, each of these calls panics.
 */
#define _DEFAULT_SOURCE
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef PANIC_HOOK
void iotda_test_panic_next(void);
#endif

/* The client that is left to the end of the process. */
static iotda_client_t *late_client = NULL;

/* What an end has come to: no exit() here, which would be called within itself. */
static void use_and_close(iotda_client_t *client) {
    iotda_call_t call = IOTDA_CALL_INIT;
#ifdef PANIC_HOOK
    iotda_test_panic_next();
    if (iotda_report_message(client, "late", 4, &call) != IOTDA_E_INTERNAL)
        _exit(2);
    if (strstr(call.message, "panic_hook.rs") == NULL)
        _exit(3);
    iotda_test_panic_next();
#else
    if (iotda_report_message(client, "late", 4, &call) != IOTDA_OK) {
        fprintf(stderr, "%s\n", call.message);
        _exit(2);
    }
    /* Also the refusals, which write their text elsewhere. */
    if (iotda_report_message(client, NULL, 4, &call) != IOTDA_E_INVALID_ARGUMENT ||
        call.message[0] == '\0')
        _exit(3);
#endif
    iotda_close(client);
}

static void late(void) {
    if (late_client != NULL)
        use_and_close(late_client);
    late_client = NULL;
}

__attribute__((destructor)) static void after_exit_handlers(void) {
    late();
}

static void of_a_thread(void *client) {
    use_and_close(client);
}

static pthread_key_t key;

static void *a_thread(void *client) {
    /* The thread has called the library before, so that its thread-local objects exist. */
    iotda_call_t call = IOTDA_CALL_INIT;
    CHECK_STATUS(IOTDA_E_INVALID_ARGUMENT, iotda_report_message(client, NULL, 1, &call));
    CHECK(pthread_setspecific(key, client) == 0);
    return NULL;
}

static void in_exit_handler(void) {
    late_client = client_from_environment();
    CHECK(atexit(late) == 0);
}

static void in_destructor_function(void) {
    late_client = client_from_environment();
}

static void in_destructor_of_a_key(void) {
    CHECK(pthread_key_create(&key, of_a_thread) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, a_thread, client_from_environment()) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* The platform by its name, so that a look-up is due at the end as well. */
static void in_exit_handler_by_name(void) {
    char endpoint[64];
    const char *port = strrchr(setting("IOTDA_ENDPOINT"), ':');
    CHECK(port != NULL);
    snprintf(endpoint, sizeof endpoint, "https://localhost%s", port);
    CHECK(setenv("IOTDA_ENDPOINT", endpoint, 1) == 0);
    in_exit_handler();
}

/* Each in a process of its own: what is prepared there happens when it ends. */
static void ends_well(const char *name, void (*prepare)(void)) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        prepare();
        exit(EXIT_SUCCESS);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "%s: the process ended with status %d, signal %d\n", name,
                WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        exit(EXIT_FAILURE);
    }
}

int main(void) {
    ends_well("an exit handler", in_exit_handler);
    ends_well("an exit handler, by name", in_exit_handler_by_name);
    ends_well("a destructor function", in_destructor_function);
    ends_well("a thread-specific value", in_destructor_of_a_key);
    return EXIT_SUCCESS;
}
