/* An outbox in C++: every function once, the callable that hears of each entry, and what a closed outbox does. */
#include "check.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <unistd.h>

using namespace std::chrono_literals;

static iotda::Client client_from_environment() {
    iotda::Config config;
    config.set_endpoint(std::getenv("IOTDA_ENDPOINT"))
        .set_device(std::getenv("IOTDA_DEVICE_ID"), std::getenv("IOTDA_DEVICE_SECRET"))
        .set_ca_file(std::getenv("IOTDA_CA_FILE"));
    auto client = iotda::Client::make(config);
    CHECK_STATUS(ok, client);
    return std::move(*client);
}

int main() {
    const std::string directory = std::filesystem::temp_directory_path().string() +
                                  "/iotda-outbox-cpp-" + std::to_string(getpid());
    const iotda::Client client = client_from_environment();
    iotda::OutboxOptions options(directory);
    options.max_bytes(1 << 20).max_age(24h).sync_within(0ms).coalesce_bytes(8192).linger(0ms);
    options.requests_at_once(1).when_full(iotda::WhenFull::drop_oldest).pad_commits(true);
    options.start_worker(false);

    std::atomic<int> delivered{0};
    auto kept = std::make_shared<int>(1);
    auto opened = iotda::Outbox::open(
        client, options,
        [&delivered, kept](std::uint64_t, std::string_view, iotda::Status status,
                           std::string_view) { delivered += status == iotda::Status::ok ? 1 : 0; });
    CHECK_STATUS(ok, opened);
    iotda::Outbox outbox = std::move(*opened);
    CHECK(kept.use_count() == 2);
    CHECK_STATUS(storage, iotda::Outbox::open(client, options));
    CHECK_STATUS(ok, outbox.attach(client));

    const auto first = outbox.put_props(client, {"s", iotda::Props().add("v", 1)});
    CHECK_STATUS(ok, first);
    const iotda::Service services[] = {{"s", "{\"v\":2}"}};
    CHECK(*outbox.put_props(client, services) == *first + 1);
    CHECK_STATUS(ok, outbox.put_props_json(
                         client, "{\"services\":[{\"service_id\":\"s\",\"properties\":{}}]}"));
    CHECK_STATUS(ok, outbox.put_message(client, "hello", 5s));
    const iotda::Child children[] = {{"child_1", services}, {"child_2", services}};
    CHECK_STATUS(ok, outbox.put_batch(client, children));
    CHECK_STATUS(invalid_argument, outbox.put_batch_json(client, "{}"));
    CHECK(outbox.stats()->waiting == 6);
    CHECK_STATUS(ok, outbox.sync());
    outbox.wake();
    CHECK_STATUS(ok, outbox.pump(60s));
    CHECK_STATUS(ok, outbox.flush(60s));
    CHECK(delivered == 6 && outbox.stats()->delivered == 6);
    CHECK(*outbox.discard("other") == 0);
    CHECK(!outbox.dead_read()->has_value());
    CHECK_STATUS(ok, outbox.dead_forget(0));

    outbox.close();
    CHECK(!outbox && kept.use_count() == 1);
    CHECK_STATUS(invalid_argument, outbox.put_message(client, "x"));
    CHECK_STATUS(invalid_argument, outbox.stats());

    const std::function<void(std::uint64_t, std::string_view, iotda::Status, std::string_view)>
        nobody;
    auto again = iotda::Outbox::open(client, options, nobody);
    CHECK_STATUS(ok, again);
    CHECK_STATUS(ok, again->put_message(client, "again"));
    CHECK_STATUS(ok, again->pump(60s));
    CHECK(again->stats()->delivered == 1);
    again->close();
    std::filesystem::remove_all(directory);
    return EXIT_SUCCESS;
}
