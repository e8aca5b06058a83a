/* The calls that iotda.hpp shows at CallOptions, Service and Batch, on a client. */
#include <iotda.hpp>

#include <chrono>
#include <cstdio>
#include <map>
#include <string>

using namespace std::chrono_literals;

/* A JSON library's. */
struct Json {
    std::string dump() const {
        return "{\"Height\":124}";
    }
};

int main() {
    iotda::Config config;
    config.set_endpoint("https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com")
        .set_device("my_device", "my-secret")
        .set_ca_file("ca.pem");
    auto made = iotda::Client::make(config);
    if (!made) {
        std::fprintf(stderr, "%s\n", made.message());
        return 1;
    }
    iotda::Client &client = *made;
    iotda::Cancel cancel;
    const Json json;
    const auto measured = std::chrono::system_clock::now();
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    // clang-format off
    client.report_message("hello");                                  // the client's timeout
    client.report_message("hello", 500ms);                           // a timeout of its own
    client.report_message("hello", deadline);                        // a time of std::chrono::steady_clock
    client.report_message("hello", iotda::CallOptions(500ms).cancelled_by(cancel));
    // clang-format on
    client.report_props({"weather", iotda::Props().add("Height", 124)});
    client.report_props({"weather", json.dump(), measured});

    const std::map<std::string, double> readings{{"child_1", 21.5}, {"child_2", 22.5}};
    const auto now = measured;
    iotda::Batch batch;
    for (const auto &[id, celsius] : readings)
        batch.child(id).service("weather", iotda::Props().add("Temperature", celsius), now);
    auto sent = client.gateway_batch(batch);
    return sent ? 0 : 1;
}
