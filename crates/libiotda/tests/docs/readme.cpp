#include <iotda.hpp>

#include <iostream>

using namespace std::chrono_literals;

int main() {
    iotda::Config config;
    config.set_endpoint("https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com")
        .set_device("my_device", "my-secret")
        .set_ca_file("ca.pem");
    auto client = iotda::Client::make(config);
    if (!client) {
        std::cerr << client.message() << '\n';
        return 1;
    }
    iotda::Props weather;
    weather.add("Temperature", 21.5).add("Raining", false);
    if (auto sent = client->report_props({"weather", weather}, 5s); !sent) {
        std::cerr << iotda::status_name(sent.status()) << ": " << sent.message() << '\n';
        return 1;
    }
}
