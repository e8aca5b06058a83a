/* The example at the head of iotda.hpp, in a function that returns early. */
#include <iotda.hpp>

#include <cstdio>

using namespace std::chrono_literals;

static int fail(const char *message) {
    std::fprintf(stderr, "%s\n", message);
    return 1;
}

static int example(const char *device_id, const char *secret) {
    iotda::Config config;
    config.set_endpoint("https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com")
        .set_device(device_id, secret);
    auto client = iotda::Client::make(config);
    if (!client)
        return fail(client.message());

    iotda::Props props;
    props.add("Height", 124).add("Speed", 23.24);
    if (auto sent = client->report_props({"weather", props}, 5s); !sent)
        return fail(sent.message());
    return 0;
}

int main() {
    return example("my_device", "my-secret");
}
