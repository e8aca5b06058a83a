/*
 * Clients that outlive main: in a global and in a thread-local object, in an exit handler that is older than they
 * are, and in a function-local static. Their destructors report and close at the end of the process or the thread.
 */
#include "check.hpp"

#include <optional>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

namespace {

/* What the end of the process comes to: no exit() here, which would be called within itself. */
class Late {
  public:
    ~Late() {
        if (client && !client->report_message("late"))
            _exit(2);
    }

    std::optional<iotda::Client> client;
};

Late global;
thread_local Late of_this_thread;

iotda::Client client() {
    return client_of(config_from_environment());
}

void in_a_global() {
    global.client = client();
}

void in_a_thread_local_of_main() {
    of_this_thread.client = client();
}

void in_a_thread_local_of_a_thread() {
    std::thread([] { of_this_thread.client = client(); }).join();
}

void in_a_local_static() {
    static Late late;
    late.client = client();
}

void in_an_exit_handler() {
    CHECK(std::atexit([] {
              Late late;
              late.client = client();
          }) == 0);
}

/* Each in a process of its own: what is prepared there happens when it ends. */
void ends_well(void (*prepare)()) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        prepare();
        std::exit(EXIT_SUCCESS);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

} // namespace

int main() {
    ends_well(in_a_global);
    ends_well(in_a_thread_local_of_main);
    ends_well(in_a_thread_local_of_a_thread);
    ends_well(in_a_local_static);
    ends_well(in_an_exit_handler);
}
