/*
 * Calls that do not succeed: a wrong secret, a refusal, a child that does not exist, a deadline, and a call
 * that another thread ends. The platform never answers a message; see ../cpp.rs.
 */
#include "check.hpp"
#include "sockets.hpp"

#include <atomic>
#include <future>
#include <thread>

using namespace std::chrono_literals;
using iotda::Child, iotda::Service;

static void wrong_secret() {
    auto config = config_from_environment();
    config.set_device(setting("IOTDA_DEVICE_ID"), "another secret");
    auto client = client_of(config);
    const auto outcome = client.auth();
    CHECK_STATUS(auth_failed, outcome);
    CHECK(!outcome && outcome.http_status() == 401 && outcome.attempts() == 0);
    CHECK(std::strcmp(outcome.platform_code(), "IOTDA.000002") == 0);
    CHECK(std::strstr(outcome.message(), "secret") != nullptr);
    CHECK(std::strstr(outcome.message(), "another secret") == nullptr);
}

static void unknown_child(iotda::Client &client) {
    const Service service("s", "{}");
    const Child children[] = {{"second", service}};
    const auto batch = client.gateway_batch(children);
    CHECK_STATUS(unknown_child, batch);
    CHECK(std::strstr(batch.message(), "children[0]") != nullptr);
    CHECK_STATUS(unknown_child, batch.child_status(0));
}

/* The platform asks for a pause that is longer than the time of the call. */
static void overload(iotda::Client &client) {
    const auto outcome = client.report_props({"s", "{}"}, 5s);
    CHECK_STATUS(server, outcome);
    CHECK(outcome.http_status() == 503 && outcome.attempts() == 1);
    CHECK(outcome.retry_after() && *outcome.retry_after() > 50s);
}

static void deadlines(iotda::Client &client) {
    CHECK_STATUS(timeout, client.report_message("late", 1s));
    const auto deadline = std::chrono::steady_clock::now() + 1s;
    const auto outcome = client.report_message("late", deadline);
    CHECK_STATUS(timeout, outcome);
    CHECK(std::chrono::steady_clock::now() >= deadline);
    CHECK(outcome.attempts() == 1 && outcome.http_status() == 0);
}

/*
 * The call is ended while it waits for the answer, with no time of its own and 30 s of the client's: by a stop token,
 * where there is one.
 */
static void cancelled_by_another_thread() {
    std::atomic<bool> armed{false};
    std::promise<void> sent;
    auto config = config_from_environment();
    config.set_transport(std::make_unique<Sockets>([&armed, &sent] {
        if (armed.exchange(false))
            sent.set_value();
    }));
    auto client = client_of(config);
    CHECK_STATUS(ok, client.auth());

#ifdef __cpp_lib_jthread
    std::stop_source stop;
    const auto end = [&stop] { stop.request_stop(); };
    const iotda::CallOptions options(stop.get_token());
#else
    const iotda::Cancel cancel;
    const auto end = [&cancel] { cancel.trigger(); };
    const iotda::CallOptions options(cancel);
#endif
    std::thread other([end, &sent] {
        sent.get_future().wait();
        end();
    });
    armed = true;
    const auto outcome = client.report_message("unanswered", options);
    other.join();
    CHECK_STATUS(cancelled, outcome);
    CHECK(outcome.attempts() == 1);
    CHECK(client.stats()->bytes_sent > 0);
    client.close();
    CHECK(SocketConnection::open == 0);
}

int main() {
    wrong_secret();
    auto client = client_of(config_from_environment());
    unknown_child(client);
    overload(client);
    deadlines(client);
    cancelled_by_another_thread();
    return EXIT_SUCCESS;
}
